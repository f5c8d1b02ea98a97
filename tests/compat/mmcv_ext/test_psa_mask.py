"""PSANet's masks."""

import pytest
import torch
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, randn

SIZES = [(3, 5), (9, 7), (1, 1)]  # smaller than the map of 4 x 5 pixels, larger, and a single pixel


def psa_loop(mask, collect, size):
    """Pixel by pixel and entry by entry, differentiable."""
    samples, _, height, width = mask.shape
    out = mask.new_zeros(samples, height, width, height, width)
    for y, x, i, j in torch.cartesian_prod(*map(torch.arange, (height, width, *size))).tolist():
        row, column = y + i - (size[0] - 1) // 2, x + j - (size[1] - 1) // 2
        if 0 <= row < height and 0 <= column < width:
            entry = mask[:, i * size[1] + j, y, x]
            if collect:
                out[:, row, column, y, x] = entry
            else:
                out[:, y, x, row, column] = entry
    return out.flatten(1, 2)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('kind', ['collect', 'distribute'])
def test_equals_plain_loop(kind, size, device):
    mask = randn(2, size[0] * size[1], 4, 5).to(device).requires_grad_()
    out = ops.PSAMask(kind, size)(mask)
    expected = psa_loop(mask, kind == 'collect', size)
    assert torch.equal(out, expected)
    grad = randn(*out.shape, seed=1).to(device)
    actual = torch.autograd.grad(out, mask, grad)
    assert_close(actual, torch.autograd.grad(expected, mask, grad), 1e-12)


@pytest.mark.parametrize('kind', ['collect', 'distribute'])
def test_gradcheck(kind):
    assert gradcheck(ops.PSAMask(kind, (3, 5)), randn(1, 15, 3, 2).requires_grad_())


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_is_exact(dtype, device):
    mask = randn(1, 15, 4, 5).to(device, dtype).requires_grad_()
    out = ops.PSAMask('collect', (3, 5))(mask)
    out.sum().backward()
    assert torch.equal(out, ops.PSAMask('collect', (3, 5))(mask.float()).to(dtype))
    assert mask.grad.dtype == dtype


def test_any_device():
    mask = randn(1, 15, 4, 5).requires_grad_()
    assert_runs_on_any_device(ops.PSAMask('distribute', (3, 5)), mask)
