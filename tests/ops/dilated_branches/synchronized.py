"""A training step of branches by the triton backend, in one process or in one of two.

test_triton.py imports it and starts it: ``python synchronized.py RANK FOLDER``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed, nn
from triton.runtime.interpreter import interpreter_builder as builder

from mmoverlock.ops import DepthwiseConv2d, backend, dilated_branches

BRANCHES = ((5, 1), (3, 1), (3, 2), (3, 4))  # size, dilation: the last looks past every map
# Of the batch, the second process has one image only, or none.
PARTS = dict(one=(slice(0, 2), slice(2, 3)), none=(slice(0, 3), slice(3, 3)))
SIZES = (5, 4), (1, 1)  # of maps: of the second, one image has no variance


def layers(kind):
    """The same in every process: branches, and norms whose parameters are random."""
    torch.manual_seed(0)
    convs = [DepthwiseConv2d(3, size, dilation, bias=False) for size, dilation in BRANCHES]
    norms = [kind(3) for _ in BRANCHES]
    for parameter in nn.ModuleList(norms).parameters():
        nn.init.normal_(parameter)
    return nn.ModuleList(convs).double(), nn.ModuleList(norms).double()


def batch(size=SIZES[0]):
    """Three images, and a gradient."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 3, *size, generator=generator, dtype=torch.float64) + 3


def train_step(kind, x, grad, name='triton', device='cpu'):
    """Out, the gradient of x, those of the parameters, and the norms' statistics."""
    convs, norms = (modules.to(device) for modules in layers(kind))
    x = x.to(device).requires_grad_()
    with backend(name):
        out = dilated_branches(x, convs, norms)
        out.backward(grad.to(device))
    named = nn.ModuleList([convs, norms]).named_parameters()
    return out.detach(), x.grad, {n: p.grad for n, p in named}, dict(norms.named_buffers())


def main(rank: int, folder: Path) -> None:
    builder.options = replace(builder.options, sanitize_overflow=False)
    distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    found = {}
    for size in SIZES:
        for name, parts in PARTS.items():
            x, grad = (tensor[parts[rank]] for tensor in batch(size))
            found[size, name] = train_step(nn.SyncBatchNorm, x, grad)
    torch.save(found, folder / f'{rank}.pt')
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(int(sys.argv[1]), Path(sys.argv[2]))
