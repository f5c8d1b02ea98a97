"""dynamic_conv2d, forward and backward: each backend against PyTorch's unfold and einsum.

    python benchmarks/dynamic_conv.py [--shape B G C H W K] [--rounds N]

The `reference` backend is the unfold-and-einsum formulation. A backend is timed only after its
output and gradients agree with it.
"""

from __future__ import annotations

import argparse

import torch
from timing import in_turns, machine, peak_memory, report

from mmoverlock.ops import available_backends, dynamic_conv2d


def main() -> None:
    parser = argparse.ArgumentParser(description='Time dynamic_conv2d on the CPU.')
    parser.add_argument('--shape', type=int, nargs=6, default=[2, 4, 16, 50, 84, 13], metavar='N')
    parser.add_argument('--rounds', type=int, default=7)
    args = parser.parse_args()
    batch, groups, channels, height, width, size = args.shape

    torch.manual_seed(0)
    kernels = torch.randn(batch, groups, height, width, size**2).softmax(-1).requires_grad_()
    value = torch.randn(batch, groups, height, width, channels).requires_grad_()
    grad = torch.randn(value.shape)

    def forward(name: str) -> torch.Tensor:
        with torch.no_grad():
            return dynamic_conv2d(kernels, value, backend=name)

    def both(name: str) -> list[torch.Tensor]:
        kernels.grad = value.grad = None
        out = dynamic_conv2d(kernels, value, backend=name)
        out.backward(grad)
        return [out.detach(), kernels.grad, value.grad]

    names = available_backends('cpu', 'dynamic_conv2d')
    expected = both('reference')
    for name in names:
        for a, b in zip(both(name), expected, strict=True):
            if (a - b).abs().max() > 1e-4 * b.abs().max():
                raise SystemExit(f'{name} does not agree with the reference: not timed')

    print(f'B {batch}, G {groups}, C {channels}, {height}×{width}, K {size}, float32')
    print(machine())
    for title, run in (('forward', forward), ('forward + backward', both)):
        rivals = {name: lambda name=name, run=run: run(name) for name in names}
        seconds = in_turns(rivals, args.rounds)
        memory = {name: peak_memory(rival) for name, rival in rivals.items()}
        print(f'\n{title}')
        report(seconds, memory, base='reference')


if __name__ == '__main__':
    main()
