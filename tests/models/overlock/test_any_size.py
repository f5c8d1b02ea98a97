"""The forms that take symbols for sizes give what PyTorch's and the published expressions give."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from mmoverlock.models.overlock import any_size

from ...testing import assert_close, randn


@pytest.mark.parametrize('kernel_size', [5, 7, 9, 11, 13])
def test_the_size_at_which_contmix_runs(kernel_size):
    """But for the published rounding, which first differs where a map is 9 times as wide as high."""
    for height in range(1, 65):
        for width in range(1, 65):
            if max(height, width) >= 9 * min(height, width):
                continue
            symbols = torch.tensor(height), torch.tensor(width)
            size = any_size.at_least_kernel(*symbols, kernel_size)
            expected = any_size.at_least_kernel(height, width, kernel_size)
            assert tuple(map(int, size)) == expected, (height, width)


@pytest.mark.parametrize(
    ('size', 'pooled'), [((7, 7), (7, 7)), ((3, 40), (7, 7)), ((13, 29), (2, 5)), ((1, 1), (1, 1))]
)
def test_pooling_by_matrices(size, pooled):
    x = randn(2, 3, *size)
    found = any_size.adaptive_avg_pool2d(x, [torch.tensor(length) for length in pooled])
    assert_close(found, F.adaptive_avg_pool2d(x, pooled), 1e-6)
    if size == pooled:
        assert torch.equal(found, x)


def test_pooling_is_deterministic_on_a_gpu(monkeypatch):
    """PyTorch refuses its own gradient there, so that its function must not be called."""
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    monkeypatch.setattr(F, 'adaptive_avg_pool2d', None)
    with FakeTensorMode():
        pooled = any_size.AdaptiveAvgPool2d(7)(torch.empty(2, 3, 14, 15, device='cuda'))
    assert pooled.shape == (2, 3, 7, 7)
