"""Large kernels in training, forward and backward: every backend of their branches.

    python benchmarks/branches.py [--shapes B,C,H,W,K ...] [--device cuda --dtype bfloat16]

A branch is a depthwise convolution with its batch norm; the large kernel K has those of the network
beside it. In a half precision the maps are mixed, as autocast makes them. The roofline counts the
taps of all branches.
"""

from __future__ import annotations

import torch
from common import Bench, agree, parser
from torch import Tensor

from mmoverlock.models.overlock.reparam import DilatedReparam, branch_names
from mmoverlock.ops import available_backends, backend

# The first three stages of OverLoCK-T at 224×224.
SHAPES = ['4,64,56,56,17', '4,128,28,28,15', '4,256,14,14,13']


def compare(bench: Bench, shape: str, channels_last: bool) -> None:
    batch, channels, height, width, size = map(int, shape.split(','))
    x = torch.randn(batch, channels, height, width, device=bench.device)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    module, grad = DilatedReparam(channels, size).to(bench.device), torch.randn_like(x)
    tensors = [x.requires_grad_(), *module.parameters()]

    def run(name: str) -> list[Tensor]:
        for tensor in tensors:
            tensor.grad = None
        with backend(name):
            with bench.autocast():
                out = module(x)
            out.backward(grad.to(out.dtype))
        return [out, *(tensor.grad for tensor in tensors[:2])]

    names = available_backends(bench.device, 'dilated_branches')
    rivals = {name: lambda name=name: run(name) for name in names}
    agree(rivals, 'reference', bench.dtype)
    taps = sum(k**2 for *_, k, _ in branch_names(size))
    layout = 'channels_last' if channels_last else 'contiguous'
    work = 3 * 2 * x.numel() * taps
    bench.case(f'{shape} {layout}, forward + backward', rivals, 'reference', work, 4 * x.nbytes)


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument('--shapes', nargs='+', default=SHAPES, metavar='B,C,H,W,K')
    args = options.parse_args(argv)
    torch.manual_seed(0)
    bench = Bench('branches of large kernels, B,C,H,W,K', args)
    for shape in args.shapes:
        for channels_last in (False, True):
            compare(bench, shape, channels_last)
    bench.finish()


if __name__ == '__main__':
    main()
