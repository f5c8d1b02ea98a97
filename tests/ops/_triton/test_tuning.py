"""Which tiles Triton's autotuner chooses from."""

from __future__ import annotations

import pytest

triton = pytest.importorskip('triton')

from mmoverlock.ops._triton import kernels  # noqa: E402


@triton.jit
def nothing(n, BLOCK):
    pass


@pytest.mark.parametrize(('target', 'left'), [('sm_80', [16]), ('sm_90', [16, 32])])
def test_tiles_that_spill_are_left_out(monkeypatch, target, left):
    monkeypatch.setattr(kernels, 'INTERPRETED', False)
    monkeypatch.setattr(kernels, 'target', lambda: target)
    tiles = [(16, 1), (32, 2)]
    kernel = kernels.tuned(('BLOCK',), tiles, (512,), ['n'], {'sm_80': [(32, 2)]})(nothing)
    configs = kernel.early_config_prune(kernel.configs, {})
    assert [config.kwargs['BLOCK'] for config in configs] == left
