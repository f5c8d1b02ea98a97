"""Masked convolution, which guided anchoring predicts with."""

import pytest
import torch
import torch.nn.functional as F
from mmcv import ops

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, randn


def case(device='cpu', dtype=torch.float64):
    """Map, mask and a layer with a kernel of 3 x 5 that keeps the map's size."""
    layer = ops.MaskedConv2d(4, 6, (3, 5), padding=(1, 2)).to(device, dtype)
    mask = (randn(1, 6, 7, seed=1) > 0.3).to(device, dtype)
    return randn(1, 4, 6, 7).to(device, dtype), mask, layer


def test_equals_convolution_times_mask(device):
    x, mask, layer = case(device)
    dense = F.conv2d(x, layer.weight, layer.bias, padding=(1, 2))
    assert mask.any() and not mask.all()
    assert_close(layer(x, mask), (dense * mask[:, None]).cpu(), 1e-12)
    assert_close(layer(x), dense.cpu(), 1e-12)


def test_empty_mask(device):
    x, mask, layer = case(device)
    assert not layer(x, torch.zeros_like(mask)).any()


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision(dtype, device):
    x, mask, layer = case(device, dtype)
    out, expected = layer(x, mask), layer(x) * mask[:, None]
    assert_close(out, expected.cpu(), 4 * torch.finfo(dtype).eps, dtype=dtype)


def test_any_device():
    """The pixels are given: how many there are depends on numbers."""
    import mmcv._ext as ext

    def function(x, rows, columns):
        col = x.new_zeros(4 * 15, 3)
        ext.masked_im2col_forward(x, rows, columns, col, 3, 5, 1, 2)
        out = x.new_zeros(1, 60, 6, 7)
        ext.masked_col2im_forward(col, rows, columns, out, 6, 7, 60)
        return out

    rows, columns = torch.tensor([0, 2, 5]), torch.tensor([6, 1, 0])
    assert_runs_on_any_device(function, randn(1, 4, 6, 7), rows, columns)
    out = function(randn(1, 4, 6, 7), rows, columns)
    expected = F.unfold(randn(1, 4, 6, 7), (3, 5), padding=(1, 2)).unflatten(2, (6, 7))
    assert torch.equal(out[:, :, rows, columns], expected[:, :, rows, columns])
