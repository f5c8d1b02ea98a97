"""RoIAlign of rotated regions."""

import math

import pytest
import torch
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, bilinear, randn

ROIS = torch.tensor(
    [
        [0, 6.3, 7.2, 9.7, 5.9, 0.4],
        [1, 1.0, 2.5, 12.0, 9.1, -1.3],  # beyond the left and upper border
        [1, 15.0, 14.0, 10.0, 19.0, 2.9],  # beyond the others
        [0, 5.2, 5.1, 0.6, 0.4, 0.7],  # smaller than a pixel
    ],
    dtype=torch.float64,
)


def align_loop(maps, rois, bins, scale, sampling, aligned, clockwise):
    """Sample by sample, differentiable by the map."""
    out = []
    for image, x, y, width, height, angle in rois.tolist():
        x, y = x * scale - 0.5 * aligned, y * scale - 0.5 * aligned
        width, height = width * scale, height * scale
        if not aligned:
            width, height = max(width, 1), max(height, 1)
        cos, sin = math.cos(angle), math.sin(-angle if clockwise else angle)
        gy = sampling or math.ceil(height / bins[0])
        gx = sampling or math.ceil(width / bins[1])
        for plane in maps[int(image)]:
            for py, px in torch.cartesian_prod(*map(torch.arange, bins)).tolist():
                samples = []
                for i, j in torch.cartesian_prod(torch.arange(gy), torch.arange(gx)).tolist():
                    down = (py + (i + 0.5) / gy) * height / bins[0] - height / 2
                    right = (px + (j + 0.5) / gx) * width / bins[1] - width / 2
                    place = y + down * cos - right * sin, x + down * sin + right * cos
                    samples.append(bilinear(plane, *place))
                out.append(torch.stack(samples).mean())
    return torch.stack(out).reshape(len(rois), maps.size(1), *bins)


@pytest.mark.parametrize('clockwise', [False, True])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('sampling', [0, 2])
def test_equals_plain_loop(sampling, aligned, clockwise, device):
    maps = randn(2, 2, 8, 9).to(device).requires_grad_()
    settings = ((2, 3), 0.5, sampling, aligned, clockwise)
    out = ops.roi_align_rotated(maps, ROIS.to(device), *settings)
    expected = align_loop(maps, ROIS, *settings)
    assert_close(out, expected.cpu(), 1e-9)
    grad = randn(*out.shape, seed=1).to(device)
    (actual,) = torch.autograd.grad(out, maps, grad)
    assert_close(actual, torch.autograd.grad(expected, maps, grad)[0].cpu(), 1e-9)


def test_gradcheck():
    maps = randn(2, 1, 5, 6).requires_grad_()
    assert gradcheck(lambda x: ops.roi_align_rotated(x, ROIS, (2, 3), 0.5, 2), maps)


@pytest.mark.parametrize('aligned', [False, True])
def test_equals_roi_align_of_upright_regions(aligned, device):
    """Of those of a pixel at least: unaligned, smaller ones grow, one from the centre, one not."""
    maps = randn(2, 3, 8, 9).to(device)
    image, x, y, w, h, _ = ROIS[:3].to(device).T
    upright = torch.stack([image, x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
    expected = ops.roi_align(maps, upright, (2, 3), 0.5, 2, 'avg', aligned)
    rois = torch.stack([image, x, y, w, h, torch.zeros_like(x)], 1)
    actual = ops.roi_align_rotated(maps, rois, (2, 3), 0.5, 2, aligned)
    assert_close(actual, expected.cpu(), 1e-9)


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision_is_computed_in_float32(dtype, device):
    maps, rois = randn(2, 2, 8, 9).to(device, dtype).requires_grad_(), ROIS.to(device, dtype)
    exact = maps.detach().float().requires_grad_()
    layer = ops.RoIAlignRotated((2, 3), 0.5, 2)
    out, expected = layer(maps, rois), layer(exact, rois.float())
    assert torch.equal(out, expected.to(dtype))
    out.sum().backward()
    expected.sum().backward()
    assert torch.equal(maps.grad, exact.grad.to(dtype))


@pytest.mark.parametrize('sampling', [0, 2])
def test_no_regions(sampling):
    maps = randn(1, 2, 5, 6).requires_grad_()
    out = ops.roi_align_rotated(maps, ROIS[:0], 3, 1.0, sampling)
    out.sum().backward()
    assert out.shape == (0, 2, 3, 3) and not maps.grad.any()


def test_any_device():
    maps = randn(2, 2, 8, 9).requires_grad_()
    layer = ops.RoIAlignRotated((2, 3), 0.5, 2)
    assert_runs_on_any_device(layer, maps, ROIS)
