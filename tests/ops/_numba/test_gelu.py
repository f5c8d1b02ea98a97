"""GELU on vectors, against PyTorch's in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numba import njit

from mmoverlock.ops._numba.gelu import gelu, gelu_and_slope
from mmoverlock.ops._numba.simd import lanes, load, store


@njit
def run(x, alone, value, slope):
    for at in range(0, len(x), lanes(x)):
        store(alone, at, gelu(load(x, at)))
        both = gelu_and_slope(load(x, at))
        store(value, at, both[0])
        store(slope, at, both[1])


def results(numbers, dtype):
    """GELU by either function and its derivative, and what PyTorch has for them in float64."""
    x = np.array(numbers, dtype)
    ours = [np.empty_like(x) for _ in range(3)]
    run(x, *ours)
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = F.gelu(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return ours, [t.detach().numpy() for t in (y, y, slope)]


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float32', 2e-7), ('float64', 1e-13)])
def test_equals_pytorch(dtype, tolerance):
    x = np.linspace(-50, 50, 16 * 4000)
    for actual, wanted in zip(*results(x, dtype), strict=True):
        assert (np.abs(actual - wanted) <= tolerance * np.maximum(np.abs(x), 1)).all()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_special_numbers(dtype):
    numbers = [0, -0.0, 1e30, -1e30, np.inf, np.nan] + 10 * [0]
    ours, wanted = results(numbers, dtype)
    for actual, right in zip(ours[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(actual, right.astype(dtype), rtol=1e-6, atol=1e-6)
