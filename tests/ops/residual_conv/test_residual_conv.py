"""residual_conv: the formula, and the numba backend that writes over its input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmoverlock.ops import residual_conv
from mmoverlock.ops import residual_conv as function
from mmoverlock.ops.dispatch import recording
from mmoverlock.ops.residual_conv import MMAP_THRESHOLD, ResDWConv, numba_cpu

from ...testing import LAYOUTS, MAP_SHAPES, assert_close, parameters, randn


def formula(x, weight, bias):
    return x + F.conv2d(x, weight, bias, 1, weight.shape[-1] // 2, 1, len(weight))


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('strip_bytes', [1, 1 << 11, 1 << 20])
@pytest.mark.parametrize('size', [3, 5])
def test_result_in_the_place_of_the_input(size, strip_bytes, layout, monkeypatch):
    monkeypatch.setattr(numba_cpu, 'STRIP_BYTES', strip_bytes)
    for shape in MAP_SHAPES:
        x = randn(*shape, dtype=torch.float64, layout=layout)
        weight, bias = parameters((shape[1], 1, size, size), (shape[1],), dtype=torch.float64)
        with torch.no_grad():
            wanted = formula(x, weight, bias)
            out = numba_cpu.residual_conv(x, weight, bias, True)
        assert out.data_ptr() == x.data_ptr()
        assert_close(out, wanted, 1e-12)


def test_autograd_knows_what_was_overwritten():
    kept = randn(2, 6, 9, 8).requires_grad_().exp()
    with torch.no_grad():
        numba_cpu.residual_conv(kept, torch.ones(6, 1, 3, 3), torch.zeros(6), True)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        kept.sum().backward()


def test_large_maps_are_overwritten_where_they_may_be():
    side = int((MMAP_THRESHOLD / 4 / 3) ** 0.5) + 1
    layer = ResDWConv(3, inplace=True)
    for inplace, width, backend in (
        (True, side, 'numba'),
        (True, side - 2, 'reference'),
        (False, side, 'reference'),
    ):
        layer.inplace = inplace
        x = torch.zeros(1, 3, side, width)
        x[..., 0, 0] = 1
        with torch.no_grad(), recording() as records:
            wanted = formula(x[..., :8, :8], layer.weight, layer.bias)
            out = layer(x)
        assert [record.backend for record in records] == [backend]
        assert (out.data_ptr() == x.data_ptr()) == (backend == 'numba')
        assert_close(out[..., :7, :7], wanted[..., :7, :7], 1e-6)


def test_gradients_and_requests():
    x, weight, bias = parameters((2, 3, 5, 6), (3, 1, 3, 3), (3,), dtype=torch.float64)
    assert torch.autograd.gradcheck(function, (x, weight, bias))
    with pytest.raises(ValueError, match='only in eager inference'):
        residual_conv(x, weight, bias, backend='numba')
