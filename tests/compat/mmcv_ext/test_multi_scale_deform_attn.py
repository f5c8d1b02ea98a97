"""Multi-scale deformable attention, which mmcv takes when its tensors are on a GPU."""

import math

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, randn

SHAPES = torch.tensor([[6, 4], [3, 2]])
STARTS = torch.tensor([0, 24])


def inputs(dtype=torch.float64, device='cpu'):
    """Value, locations (some outside the map) and weights of 2 samples, 3 queries, 2 heads."""
    value = randn(2, 30, 2, 5)
    locations = 0.5 + 0.4 * randn(2, 3, 2, 2, 4, 2, seed=1)
    weights = randn(2, 3, 2, 8, seed=2).softmax(-1).reshape(2, 3, 2, 2, 4)
    return [x.to(device, dtype).requires_grad_() for x in (value, locations, weights)]


def attend(value, locations, weights):
    shapes, starts = SHAPES.to(value.device), STARTS.to(value.device)
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)


def attention_loop(value, locations, weights):
    """Sample by sample: pixel (r, c) is centred at ((c + 0.5) / width, (r + 0.5) / height)."""
    samples, queries, heads, levels, points, _ = locations.shape
    out = value.new_zeros(samples, queries, heads, value.size(-1))
    for b, q, h, level, p in torch.cartesian_prod(
        *map(torch.arange, locations.shape[:-1])
    ).tolist():
        height, width = SHAPES[level].tolist()
        x, y = locations[b, q, h, level, p].tolist()
        x, y = x * width - 0.5, y * height - 0.5
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[b, q, h, level, p]
                    place = STARTS[level] + row * width + column
                    out[b, q, h] += share * value[b, place, h]
    return out.flatten(2)


def test_equals_plain_loop(device):
    tensors = inputs(device=device)
    with torch.no_grad():
        expected = attention_loop(*(x.cpu() for x in tensors))
    assert_close(attend(*tensors), expected, 1e-12)


def test_equals_mmcvs_formula(device):
    tensors = inputs(device=device)
    out, expected = attend(*tensors), None
    value, locations, weights = tensors
    expected = multi_scale_deformable_attn_pytorch(value, SHAPES, locations, weights)
    assert torch.equal(out, expected)
    grad = randn(*out.shape, seed=3).to(device)
    actual = torch.autograd.grad(out, tensors, grad)
    assert_close(actual, torch.autograd.grad(expected, tensors, grad), 1e-12)


def test_gradcheck():
    assert gradcheck(attend, inputs())


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_is_computed_in_float32(dtype, device):
    tensors = inputs(dtype, device)
    exact = [x.detach().float().requires_grad_() for x in tensors]
    out, expected = attend(*tensors), attend(*exact)
    assert out.dtype == dtype
    assert torch.equal(out, expected.to(dtype))
    grads = torch.autograd.grad(out.sum(), tensors)
    for actual, wanted in zip(grads, torch.autograd.grad(expected.sum(), exact), strict=True):
        assert torch.equal(actual, wanted.to(dtype))


def test_mixed_precision(device):
    """Under autocast the value is float16, locations and weights are float32."""
    value, locations, weights = inputs(torch.float32, device)
    with torch.autocast(device, torch.float16):
        out = attend(value.half(), locations, weights)
    out.float().sum().backward()
    assert out.dtype == torch.float16
    assert {x.grad.dtype for x in (value, locations, weights)} == {torch.float32}


def test_no_queries():
    value, locations, weights = inputs()
    assert attend(value, locations[:, :0], weights[:, :0]).shape == (2, 0, 10)


def test_any_device():
    def function(value, locations, weights):
        return MultiScaleDeformableAttnFunction.apply(value, SHAPES, STARTS, locations, weights, 64)

    assert_runs_on_any_device(function, *inputs())
