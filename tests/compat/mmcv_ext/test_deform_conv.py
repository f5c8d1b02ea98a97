"""Deformable convolution."""

import pytest
import torch
import torch.nn.functional as F
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import COMPILED, compiled, randn


def test_deform_conv2d_equals_compiled(device):
    x, offset, weight = (compiled(f'dcn_{k}', device, grad=True) for k in ('in', 'off', 'w'))
    out = ops.deform_conv2d(x, offset, weight, 1, 1)
    assert_close(out, COMPILED['dcn_v1'])
    out.sum().backward()
    assert_close(offset.grad, COMPILED['dcn_v1_grad_off'])


def test_modulated_deform_conv2d_equals_compiled(device):
    x, offset, mask, weight = (
        compiled(f'dcn_{k}', device, grad=True) for k in ('in', 'off', 'mask', 'w')
    )
    out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1)
    assert_close(out, COMPILED['dcn_v2'])
    out.sum().backward()
    assert_close(mask.grad, COMPILED['dcn_v2_grad_mask'])
    assert_close(x.grad, COMPILED['dcn_v2_grad_in'])


# height and width differ everywhere, so that swapping them cannot go unnoticed
GEOMETRY = {'stride': (2, 1), 'padding': (1, 2), 'dilation': (1, 2), 'groups': 2}


@pytest.mark.parametrize('modulated', [False, True])
def test_unmoved_kernel_is_a_convolution(modulated, device):
    x = randn(4, 4, 9, 8, dtype=torch.float32).to(device)
    layer = ops.ModulatedDeformConv2d if modulated else ops.DeformConv2d
    layer = layer(4, 6, (3, 2), **GEOMETRY, deform_groups=2, bias=modulated).to(device)
    bias = None
    if modulated:
        bias = torch.nn.init.normal_(layer.bias)
    expected = F.conv2d(x, layer.weight, bias, **GEOMETRY)
    offset = x.new_zeros(4, 2 * 2 * 6, *expected.shape[2:])
    mask = [x.new_ones(4, 2 * 6, *expected.shape[2:])] if modulated else []
    assert_close(layer(x, offset, *mask), expected.cpu(), 1e-5)


def test_deform_groups_move_their_own_channels():
    x, weight, offset = randn(2, 4, 7, 8), randn(6, 2, 3, 3, seed=1), randn(2, 36, 7, 8, seed=2)
    out = ops.deform_conv2d(x, offset, weight, 1, 1, 1, 2, 2)
    halves = zip(x.chunk(2, 1), offset.chunk(2, 1), weight.chunk(2), strict=True)
    expected = torch.cat([ops.deform_conv2d(*half, 1, 1) for half in halves], 1)
    assert_close(out, expected, 1e-12)


def test_deform_conv2d_gradcheck():
    x, weight = randn(2, 4, 5, 4).requires_grad_(), randn(2, 2, 3, 2, seed=1).requires_grad_()
    offset = (0.3 + 0.2 * randn(2, 24, 3, 6, seed=2)).requires_grad_()
    geometry = (*list(GEOMETRY.values())[:3], 2, 2)
    assert gradcheck(lambda *tensors: ops.deform_conv2d(*tensors, *geometry), (x, offset, weight))


def test_modulated_deform_conv2d_gradcheck():
    x, weight = randn(2, 4, 5, 4).requires_grad_(), randn(2, 2, 3, 2, seed=1).requires_grad_()
    offset = (0.3 + 0.2 * randn(2, 24, 3, 6, seed=2)).requires_grad_()
    mask, bias = randn(2, 12, 3, 6, seed=3).requires_grad_(), randn(2, seed=4).requires_grad_()
    geometry = (*list(GEOMETRY.values())[:3], 2, 2)
    assert gradcheck(
        lambda *tensors: ops.modulated_deform_conv2d(*tensors, *geometry),
        (x, offset, mask, weight, bias),
    )


@pytest.mark.parametrize('layer', [ops.DeformConv2dPack, ops.ModulatedDeformConv2dPack])
def test_packs_under_autocast(layer, device):
    torch.manual_seed(0)
    layer = layer(4, 6, 3, padding=1).to(device)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)
    x = randn(2, 4, 7, 8, dtype=torch.float32).to(device)
    expected = layer(x)
    expected.sum().backward()
    expected_grad = layer.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast(device, torch.bfloat16):
        out = layer(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert_close(out, expected.cpu(), 0.05, dtype=torch.bfloat16)
    assert_close(layer.weight.grad, expected_grad.cpu(), 0.05)
