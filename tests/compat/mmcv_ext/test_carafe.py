"""CARAFE."""

import mmcv._ext as ext
import pytest
import torch
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, randn


class NaiveFunction(torch.autograd.Function):
    """mmcv's wrapper of the second variant allows gradients on a GPU only; this is it without."""

    @staticmethod
    def forward(ctx, features, masks, *geometry):
        ctx.save_for_backward(features, masks)
        ctx.geometry = geometry
        size = (s * geometry[2] for s in features.shape[2:])
        output = features.new_zeros(*features.shape[:2], *size)
        ext.carafe_naive_forward(features, masks, output, *geometry)
        return output

    @staticmethod
    def backward(ctx, grad):
        grads = [torch.zeros_like(x) for x in ctx.saved_tensors]
        ext.carafe_naive_backward(grad, *ctx.saved_tensors, *grads, *ctx.geometry)
        return *grads, None, None, None


VARIANTS = pytest.mark.parametrize('carafe', [ops.carafe, NaiveFunction.apply], ids=['', 'naive'])


def inputs(groups, scale, kernel, dtype=torch.float64, device='cpu'):
    features = randn(2, 4, 3, 5)
    masks = randn(2, groups * kernel**2, 3 * scale, 5 * scale, seed=1)
    return [x.to(device, dtype).requires_grad_() for x in (features, masks)]


def carafe_loop(features, masks, kernel, groups, scale):
    """Pixel by pixel and tap by tap, differentiable."""
    samples, channels, height, width = features.shape
    out = features.new_zeros(samples, channels, height * scale, width * scale)
    share = channels // groups
    for y, x in torch.cartesian_prod(*map(torch.arange, out.shape[2:])).tolist():
        for i, j in torch.cartesian_prod(torch.arange(kernel), torch.arange(kernel)).tolist():
            row, column = y // scale + i - kernel // 2, x // scale + j - kernel // 2
            if 0 <= row < height and 0 <= column < width:
                for channel in range(channels):
                    weight = masks[:, (channel // share) * kernel**2 + i * kernel + j, y, x]
                    out[:, channel, y, x] += features[:, channel, row, column] * weight
    return out


@VARIANTS
@pytest.mark.parametrize(('groups', 'scale', 'kernel'), [(1, 2, 3), (2, 1, 5), (4, 3, 1)])
def test_equals_plain_loop(carafe, groups, scale, kernel, device):
    tensors = inputs(groups, scale, kernel, device=device)
    out = carafe(*tensors, kernel, groups, scale)
    expected = carafe_loop(*tensors, kernel, groups, scale)
    assert_close(out, expected.cpu(), 1e-12)
    grad = randn(*out.shape, seed=2).to(device)
    actual = torch.autograd.grad(out, tensors, grad)
    assert_close(actual, torch.autograd.grad(expected, tensors, grad), 1e-12)


@VARIANTS
def test_gradcheck(carafe):
    tensors = inputs(2, 2, 3)
    tensors = [
        x[:1, :, :s, :s].detach().requires_grad_() for x, s in zip(tensors, (2, 4), strict=True)
    ]
    assert gradcheck(lambda *x: carafe(*x, 3, 2, 2), tensors)


@VARIANTS
@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_is_computed_in_float32(carafe, dtype, device):
    tensors = inputs(2, 2, 3, dtype, device)
    exact = [x.detach().float().requires_grad_() for x in tensors]
    out, expected = carafe(*tensors, 3, 2, 2), carafe(*exact, 3, 2, 2)
    assert torch.equal(out, expected.to(dtype))
    grads = torch.autograd.grad(out.sum(), tensors)
    for actual, wanted in zip(grads, torch.autograd.grad(expected.sum(), exact), strict=True):
        assert torch.equal(actual, wanted.to(dtype))


@VARIANTS
def test_any_device(carafe):
    assert_runs_on_any_device(lambda *x: carafe(*x, 3, 2, 2), *inputs(2, 2, 3))
