"""Which tiles Triton's autotuner chooses from."""

from __future__ import annotations

import pytest
import torch

triton = pytest.importorskip('triton')

from mmoverlock.ops._triton import kernels  # noqa: E402


@triton.jit
def nothing(n, BLOCK):
    pass


@pytest.mark.parametrize(
    ('target', 'dtype', 'left'),
    [
        ('sm_80', torch.float16, [16]),
        ('sm_80', torch.float32, [16, 32]),
        ('sm_90', torch.float16, [16, 32]),
    ],
)
def test_tiles_that_spill_are_left_out(monkeypatch, target, dtype, left):
    monkeypatch.setattr(kernels, 'INTERPRETED', False)
    monkeypatch.setattr(kernels, 'target', lambda: target)
    tiles = [(16, 1), (32, 2)]
    spilling = {('sm_80', 'float16'): [(32, 2)]}
    kernel = kernels.tuned(('BLOCK',), tiles, (512,), ['n'], spilling)(nothing)
    configs = kernel.early_config_prune(kernel.configs, dict(n=torch.zeros(1, dtype=dtype)))
    assert [config.kwargs['BLOCK'] for config in configs] == left


@pytest.mark.parametrize(('even', 'left'), [(False, [15, 16]), (True, [16])])
def test_tiles_that_do_not_suit_are_left_out(monkeypatch, even, left):
    monkeypatch.setattr(kernels, 'INTERPRETED', False)
    monkeypatch.setattr(kernels, 'target', lambda: 'sm_90')

    def suits(tile, others):
        return not others['EVEN'] or tile['BLOCK'] % 2 == 0

    tiles = [(15, 1), (16, 1)]
    kernel = kernels.tuned(('BLOCK',), tiles, (512,), ['n'], suits=suits)(nothing)
    configs = kernel.early_config_prune(kernel.configs, dict(n=torch.zeros(1)), EVEN=even)
    assert [config.kwargs['BLOCK'] for config in configs] == left
