"""Depthwise convolution, forward and backward: every backend and the measured choice.

    python benchmarks/depthwise.py [--shapes B,C,H,W,K,dilation ...]

Every shape is run contiguous and channels_last: oneDNN's speed differs between them. The roofline
counts all taps; ours leaves out those that meet only padding, and may go beyond it.
"""

from __future__ import annotations

import torch
from common import Bench, agree, parser
from torch import Tensor

from mmoverlock.ops import autotune, available_backends, depthwise_conv2d

# Of OverLoCK-T: stages 1 to 3 of an 800×1344 image; 56², 28², 14², 7² with their small branches.
SHAPES = [
    '1,64,200,336,17,1',
    '1,128,100,168,15,1',
    '1,256,50,84,13,1',
    '4,64,56,56,17,1',
    '4,64,56,56,9,2',
    '4,64,56,56,3,7',
    '4,128,28,28,15,1',
    '4,256,14,14,13,1',
    '4,512,7,7,7,1',
]


def compare(bench: Bench, shape: str, channels_last: bool) -> None:
    batch, channels, height, width, size, dilation = map(int, shape.split(','))
    x = torch.randn(batch, channels, height, width, device=bench.device, dtype=bench.dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, size, size, device=bench.device, dtype=bench.dtype) / size
    x, weight, grad = x.requires_grad_(), weight.requires_grad_(), torch.randn_like(x)

    def run(name: str, backward: bool) -> list[Tensor]:
        """One backend, or whichever was measured to be the fastest."""
        x.grad = weight.grad = None
        with torch.set_grad_enabled(backward):
            chosen = None if name == 'chosen' else name
            out = depthwise_conv2d(x, weight, dilation=dilation, backend=chosen)
        if not backward:
            return [out]
        out.backward(grad)
        return [out, x.grad, weight.grad]

    names = available_backends(bench.device, 'depthwise_conv2d')
    work = 2 * x.numel() * size**2
    layout = 'channels_last' if channels_last else 'contiguous'
    for title, backward in (('forward', False), ('forward + backward', True)):
        autotune.clear()
        rivals = {n: lambda n=n, back=backward: run(n, back) for n in (*names, 'chosen')}
        agree(rivals, 'reference', bench.dtype)
        factor = 3 if backward else 1
        bench.case(
            f'{shape} {layout}, {title}', rivals, 'reference', factor * work, factor * 2 * x.nbytes
        )


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument('--shapes', nargs='+', default=SHAPES, metavar='B,C,H,W,K,dilation')
    args = options.parse_args(argv)
    torch.manual_seed(0)
    bench = Bench('depthwise convolution, B,C,H,W,K,dilation', args)
    for shape in args.shapes:
        for channels_last in (False, True):
            compare(bench, shape, channels_last)
    bench.finish()


if __name__ == '__main__':
    main()
