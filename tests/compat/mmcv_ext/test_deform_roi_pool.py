"""Deformable RoI pooling."""

import math

import pytest
import torch
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, bilinear, randn

ROIS = torch.tensor(
    [
        [0, 1.3, 2.2, 9.7, 11.9],
        [1, -6.0, -3.5, 8.0, 6.1],  # beyond the left and upper border
        [1, 6.0, 3.0, 23.0, 19.0],  # beyond the others
        [0, 5.2, 5.1, 5.6, 5.4],  # smaller than a pixel
    ],
    dtype=torch.float64,
)


def inputs(device='cpu', dtype=torch.float64, bins=(2, 3)):
    maps, offset = randn(2, 2, 8, 9), randn(4, 2, *bins, seed=1)
    return [x.to(device, dtype).requires_grad_() for x in (maps, offset)]


def pool_loop(maps, offset, rois, bins, scale, sampling, gamma):
    """Sample by sample, differentiable by the map."""
    out = []
    for k, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (v * scale - 0.5 for v in box)
        width, height = x2 - x1, y2 - y1
        gy = sampling or math.ceil(height / bins[0])
        gx = sampling or math.ceil(width / bins[1])
        for plane in maps[int(image)]:
            for py, px in torch.cartesian_prod(*map(torch.arange, bins)).tolist():
                dx, dy = (0, 0) if offset is None else offset[k, :, py, px].tolist()
                top = y1 + gamma * height * dy + py * height / bins[0]
                left = x1 + gamma * width * dx + px * width / bins[1]
                samples = [
                    bilinear(
                        plane,
                        top + (i + 0.5) * height / bins[0] / gy,
                        left + (j + 0.5) * width / bins[1] / gx,
                    )
                    for i in range(gy)
                    for j in range(gx)
                ]
                out.append(torch.stack(samples).mean())
    return torch.stack(out).reshape(len(rois), maps.size(1), *bins)


@pytest.mark.parametrize('moved', [False, True])
@pytest.mark.parametrize('sampling', [0, 2])
def test_equals_plain_loop(sampling, moved, device):
    maps, offset = inputs(device)
    settings = ((2, 3), 0.5, sampling, 0.3)
    offset = offset if moved else None
    out = ops.deform_roi_pool(maps, ROIS.to(device), offset, *settings)
    expected = pool_loop(maps, offset, ROIS, *settings)
    assert_close(out, expected.cpu(), 1e-9)
    grad = randn(*out.shape, seed=2).to(device)
    (actual,) = torch.autograd.grad(out, maps, grad, retain_graph=True)
    assert_close(actual, torch.autograd.grad(expected, maps, grad)[0].cpu(), 1e-9)


@pytest.mark.parametrize('sampling', [0, 2])
def test_gradcheck(sampling):
    maps, offset = randn(2, 1, 4, 5).requires_grad_(), inputs(bins=(1, 2))[1]

    def pool(maps, offset):
        return ops.deform_roi_pool(maps, ROIS, offset, (1, 2), 0.3, sampling, 0.3)

    assert gradcheck(pool, (maps, offset))


def test_equals_roi_align_when_nothing_moves(device):
    maps, _ = inputs(device)
    out = ops.DeformRoIPool((2, 3), 0.5, 2)(maps, ROIS.to(device))
    assert_close(out, ops.RoIAlign((2, 3), 0.5, 2)(maps, ROIS.to(device)).cpu(), 1e-12)


@pytest.mark.parametrize('pack', [ops.DeformRoIPoolPack, ops.ModulatedDeformRoIPoolPack])
def test_packs_train(pack, device):
    """The first step moves nothing; the layers that move the bins learn all the same."""
    torch.manual_seed(0)
    layer = pack((2, 3), 2, 8, 0.5, 2).to(device)
    maps = inputs(device, torch.float32)[0]
    layer(maps, ROIS.float().to(device)).square().sum().backward()
    assert layer.offset_fc[-1].weight.grad.abs().max() > 1e-3
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_is_computed_in_float32(dtype, device):
    tensors, rois = inputs(device, dtype), ROIS.to(device, dtype)
    exact = [x.detach().float().requires_grad_() for x in tensors]
    out = ops.deform_roi_pool(tensors[0], rois, tensors[1], (2, 3), 0.5, 2, 0.3)
    expected = ops.deform_roi_pool(exact[0], rois.float(), exact[1], (2, 3), 0.5, 2, 0.3)
    assert torch.equal(out, expected.to(dtype))
    grads = torch.autograd.grad(out.sum(), tensors)
    for actual, wanted in zip(grads, torch.autograd.grad(expected.sum(), exact), strict=True):
        assert torch.equal(actual, wanted.to(dtype))


@pytest.mark.parametrize('sampling', [0, 2])
def test_no_regions(sampling):
    maps, offset = inputs()
    out = ops.deform_roi_pool(maps, ROIS[:0], offset[:0], (2, 3), 0.5, sampling)
    out.sum().backward()
    assert out.shape == (0, 2, 2, 3) and not maps.grad.any()


def test_region_without_extent_has_no_samples():
    maps, offset = inputs()
    out = ops.deform_roi_pool(maps, torch.tensor([[0, 3.0, 3, 3, 3]]), offset[:1], (2, 3), 0.5)
    out.sum().backward()
    assert not out.any() and not maps.grad.any() and not offset.grad.any()


def test_any_device():
    def function(maps, offset, rois):
        return ops.deform_roi_pool(maps, rois, offset, (2, 3), 0.5, 2, 0.3)

    assert_runs_on_any_device(function, *inputs(), ROIS)
