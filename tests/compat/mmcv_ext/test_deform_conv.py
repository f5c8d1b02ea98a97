"""Deformable convolution."""

import pytest
import torch
import torch.nn.functional as F
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import LAYOUTS, assert_close
from .common import COMPILED, assert_runs_on_any_device, compiled, randn


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


@pytest.mark.parametrize('modulated', [False, True])
def test_taps_outside_give_their_offsets_no_gradient(modulated, device):
    """Whole-number offsets: taps stand at -1, at the map's size, and beyond."""
    generator = torch.Generator().manual_seed(0)
    offset = torch.randint(-3, 4, (2, 36, 5, 7), generator=generator).double()
    x, weight = randn(2, 4, 5, 7).to(device), randn(3, 4, 3, 3, seed=1).to(device)
    offset = offset.to(device).requires_grad_()
    if modulated:
        mask = 0.5 + randn(2, 18, 5, 7, seed=2).sigmoid().to(device)
        out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1, 1, 1, 2)
    else:
        out = ops.deform_conv2d(x, offset, weight, 1, 1, 1, 1, 2)
    out.sum().backward()
    y, column = offset.unflatten(1, (2, 9, 2)).unbind(3)
    y = y + torch.arange(5, device=device)[:, None] - 1
    y = y + torch.arange(3, device=device).repeat_interleave(3)[:, None, None]
    column = column + torch.arange(7, device=device) - 1
    column = column + torch.arange(3, device=device).repeat(3)[:, None, None]
    outside = (y < 0) | (y > 4) | (column < 0) | (column > 6)
    grad = offset.grad.unflatten(1, (2, 9, 2)).transpose(2, 3)
    for at in (y == -1, y == 5, column == -1, column == 7):
        assert at.any()
    assert not grad[outside[:, :, None].expand_as(grad)].any()
    assert (grad.abs().sum(2)[~outside] > 0).all()


def test_only_the_tap_on_a_single_pixel_gets_a_gradient(device):
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64, device=device)
    offset = x.new_zeros(1, 18, 1, 1, requires_grad=True)
    ops.deform_conv2d(x, offset, x.new_ones(1, 1, 3, 3), 1, 1).sum().backward()
    # the tap in the middle reads (1 - y) * (1 - x)
    expected = torch.zeros(18, dtype=torch.float64)
    expected[8:10] = -1
    assert torch.equal(offset.grad.flatten().cpu(), expected)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_larger_offsets_are_read_as_maps_of_the_outputs_size(layout, device):
    """DyHead passes the offsets of the next finer level."""
    x, weight, bias = (
        randn(*shape, seed=seed).to(device).requires_grad_()
        for seed, shape in enumerate([(2, 4, 5, 6), (3, 4, 3, 3), (3,)])
    )
    offset, mask = (
        randn(2, channels, 9, 11, seed=3, layout=layout).to(device).requires_grad_()
        for channels in (36, 18)
    )
    leaves = x, offset, mask, weight, bias
    out = ops.modulated_deform_conv2d(*leaves, 1, 1, 1, 1, 2)
    small = [t.flatten(1)[:, : t.size(1) * 30].reshape(2, -1, 5, 6) for t in (offset, mask)]
    expected = ops.modulated_deform_conv2d(x, *small, weight, bias, 1, 1, 1, 1, 2)
    assert torch.equal(out, expected)
    grad = randn(*out.shape, seed=4).to(device)
    actual = torch.autograd.grad(out, leaves, grad)
    assert_close(actual, torch.autograd.grad(expected, leaves, grad), 1e-12)
    assert actual[1].shape == offset.shape and not actual[1].flatten(1)[:, 36 * 30 :].any()


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


def test_any_device():
    x, offset, weight = (
        randn(*shape).requires_grad_() for shape in [(2, 4, 5, 6), (2, 18, 5, 6), (3, 4, 3, 3)]
    )
    mask = randn(2, 9, 5, 6).requires_grad_()
    assert_runs_on_any_device(lambda *t: ops.deform_conv2d(*t, 1, 1), x, offset, weight)
    assert_runs_on_any_device(
        lambda *t: ops.modulated_deform_conv2d(*t, None, 1, 1), x, offset, mask, weight
    )
