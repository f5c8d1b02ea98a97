"""ContMix and dynamic_conv2d, forward and backward: every backend against the reference.

    python benchmarks/contmix.py [--shape B G c C H W K] [--device cuda --dtype bfloat16]

A backend is timed only after its output and all gradients agree with the reference's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from common import Bench, agree, parser
from torch import Tensor

from mmoverlock.ops import available_backends, contmix, dynamic_conv2d

SMALL, REGIONS = 5, 49


def compare(
    bench: Bench,
    op: str,
    function: Callable[..., Tensor],
    tensors: list[Tensor],
    flops: tuple[float, float],
) -> None:
    """Forward, and forward + backward, of all backends; flops are those of the two."""
    out = function(*tensors, backend='reference')
    grad = torch.randn_like(out)
    nbytes = sum(t.nbytes for t in tensors) + out.nbytes

    def forward(name: str) -> list[Tensor]:
        with torch.no_grad():
            return [function(*tensors, backend=name)]

    def both(name: str) -> list[Tensor]:
        for tensor in tensors:
            tensor.grad = None
        out = function(*tensors, backend=name)
        out.backward(grad)
        return [out, *(tensor.grad for tensor in tensors)]

    names = available_backends(bench.device, op)
    for title, run, work, size in (
        ('forward', forward, flops[0], nbytes),
        ('forward + backward', both, flops[1], 3 * nbytes),
    ):
        rivals = {name: lambda name=name, run=run: run(name) for name in names}
        agree(rivals, 'reference', bench.dtype)
        bench.case(f'{op}, {title}', rivals, 'reference', work, size)


def main(argv: list[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument(
        '--shape',
        type=int,
        nargs=7,
        default=[2, 8, 16, 16, 50, 84, 13],
        metavar=('B', 'G', 'c', 'C', 'H', 'W', 'K'),
    )
    args = options.parse_args(argv)
    batch, groups, inner, channels, height, width, size = args.shape
    shape = f'B {batch}, G {groups}, c {inner}, C {channels}, {height}×{width}, K {size}'
    bench = Bench(f'contmix {shape}', args)

    torch.manual_seed(0)
    taps = SMALL**2 + size**2
    shapes = [
        (batch, groups, inner, height, width),
        (batch, groups, inner, REGIONS),
        (batch, 2, groups, channels, height, width),
        (taps, REGIONS),
        (taps,),
        (groups, 2 * SMALL - 1, 2 * SMALL - 1),
        (groups, 2 * size - 1, 2 * size - 1),
    ]
    tensors = [torch.randn(s, device=bench.device, dtype=bench.dtype) for s in shapes]
    tensors[0] *= inner**-0.5
    tensors[3] *= REGIONS**-0.5
    pixels = batch * groups * height * width
    # Multiply-adds of a tap: logit and aggregation; backward these again, and their gradients.
    forward = 2 * pixels * taps * (inner + channels)
    both = forward + 2 * pixels * taps * (3 * inner + 2 * channels)

    def run(*tensors: Tensor, backend: str) -> Tensor:
        return contmix(*tensors, SMALL, size, backend=backend)

    compare(bench, 'contmix', run, [t.requires_grad_() for t in tensors], (forward, both))

    kernels = torch.randn(batch, groups, height, width, size**2).softmax(-1)
    value = torch.randn(batch, groups, height, width, channels)
    tensors = [t.to(bench.device, bench.dtype).requires_grad_() for t in (kernels, value)]
    work = 2 * pixels * size**2 * channels
    compare(bench, 'dynamic_conv2d', dynamic_conv2d, tensors, (work, 3 * work))
    bench.finish()


if __name__ == '__main__':
    main()
