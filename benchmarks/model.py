"""A whole OverLoCK, merged, in inference: the default backend against the unfold formulation.

python benchmarks/model.py [--arch t] [--size H W] [--batch N] [--rounds N]
"""

from __future__ import annotations

import argparse
import os

import torch
from timing import in_turns, machine, peak_memory, report

from mmoverlock.models import OverLoCK
from mmoverlock.ops import available_backends


def main() -> None:
    parser = argparse.ArgumentParser(description='Time an OverLoCK backbone on the CPU.')
    parser.add_argument('--arch', default='t')
    parser.add_argument('--size', type=int, nargs=2, default=[800, 1344], metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = OverLoCK(args.arch, out_indices=(0, 1, 2, 3), fuse_overview=True, deploy=True).eval()
    image = torch.randn(args.batch, 3, *args.size)

    def forward(name: str) -> tuple[torch.Tensor, ...]:
        os.environ['MMOVERLOCK_BACKEND'] = name
        with torch.inference_mode():
            return model(image)

    names = available_backends('cpu')
    expected = forward('reference')
    for name in names:
        for a, b in zip(forward(name), expected, strict=True):
            if (a - b).abs().max() > 1e-4 * b.abs().max():
                raise SystemExit(f'{name} does not agree with the reference: not timed')

    print(f'OverLoCK-{args.arch.upper()} merged, batch {args.batch}, {args.size[0]}×{args.size[1]}')
    print(f'{machine()}\n')
    rivals = {name: lambda name=name: forward(name) for name in names}
    seconds = in_turns(rivals, args.rounds)
    memory = {name: peak_memory(rival) for name, rival in rivals.items()}
    report(seconds, memory, base='reference')


if __name__ == '__main__':
    main()
