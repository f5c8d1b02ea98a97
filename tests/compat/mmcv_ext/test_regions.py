"""RoIAlign and RoIPool."""

import math

import numpy as np
import pytest
import torch
import torchvision
from mmcv import ops
from torch.autograd import gradcheck

from ...testing import assert_close
from .common import COMPILED, bilinear, compiled, randn


@pytest.mark.parametrize('aligned', [0, 1])
@pytest.mark.parametrize('sampling', [0, 2])
def test_roi_align_equals_compiled(sampling, aligned, device):
    feat, name = compiled('feat', device, grad=True), f'roi_align_s{sampling}_a{aligned}'
    layer = ops.RoIAlign((7, 5), 0.25, sampling, 'avg', bool(aligned))
    out = layer(feat, compiled('rois', device))
    assert_close(out, COMPILED[name])
    grad = np.random.default_rng(501).standard_normal(out.shape).astype(np.float32)
    out.backward(torch.from_numpy(grad).to(device))
    assert_close(feat.grad, COMPILED[f'{name}_grad'])


def test_roi_align_max_equals_compiled(device):
    layer = ops.RoIAlign((7, 7), 0.25, 2, 'max')
    out = layer(compiled('feat', device), compiled('rois', device))
    assert_close(out, COMPILED['roi_align_max'])


ROIS = torch.tensor(
    [
        [0, 1.3, 2.2, 9.7, 11.9],
        [1, -4.0, -3.5, 8.0, 6.1],  # beyond the left and upper border
        [1, 6.0, 3.0, 21.0, 19.0],  # beyond the others
        [0, 5.2, 5.1, 5.6, 5.4],  # smaller than a pixel
    ],
    dtype=torch.float64,
)


def roi_align_loop(feat, rois, bins, scale, sampling, mode, aligned):
    """Sample by sample, differentiable."""
    out = []
    for image, *box in rois.tolist():
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        gy = sampling or math.ceil(height / bins[0])
        gx = sampling or math.ceil(width / bins[1])
        for plane in feat[int(image)]:
            for i in range(bins[0] * bins[1]):
                py, px = divmod(i, bins[1])
                ys = [y1 + (py + (k + 0.5) / gy) * height / bins[0] for k in range(gy)]
                xs = [x1 + (px + (k + 0.5) / gx) * width / bins[1] for k in range(gx)]
                samples = torch.stack([bilinear(plane, y, x) for y in ys for x in xs])
                out.append(samples.max() if mode == 'max' else samples.mean())
    return torch.stack(out).reshape(len(rois), feat.size(1), *bins)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('sampling', [0, 3])
def test_roi_align_equals_plain_loop(sampling, aligned, mode):
    feat = randn(2, 2, 8, 9).requires_grad_()
    settings = ((2, 3), 0.5, sampling, mode, aligned)
    out = ops.roi_align(feat, ROIS, *settings)
    expected = roi_align_loop(feat, ROIS, *settings)
    assert_close(out, expected, 1e-9)
    grad = randn(*out.shape, seed=1)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0], 1e-9)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_gradcheck(mode):
    feat = randn(2, 1, 5, 6).requires_grad_()
    assert gradcheck(lambda x: ops.roi_align(x, ROIS, (2, 2), 0.5, 2, mode, True), feat)


def test_roi_align_max_of_empty_region_is_zero():
    feat = randn(1, 2, 5, 6).requires_grad_()
    out = ops.roi_align(feat, torch.tensor([[0.0, 2, 2, 2, 4]]), 2, 1.0, 0, 'max', True)
    out.sum().backward()
    assert not out.any() and not feat.grad.any()


def roi_pool_loop(feat, rois, bins, scale):
    """mmcv's rule, bin by bin, differentiable: regions are not rounded, ends are inclusive."""
    out = []
    for image, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        for plane in feat[int(image)]:
            for i in range(bins[0] * bins[1]):
                py, px = divmod(i, bins[1])
                top = max(math.floor(y1 + py * (y2 - y1) / bins[0]), 0)
                left = max(math.floor(x1 + px * (x2 - x1) / bins[1]), 0)
                bottom = max(math.ceil(y1 + (py + 1) * (y2 - y1) / bins[0]), 0)
                right = max(math.ceil(x1 + (px + 1) * (x2 - x1) / bins[1]), 0)
                pixels = plane[top:bottom, left:right]
                valid = pixels.numel() and x2 > x1 and y2 > y1
                out.append(pixels.max() if valid else plane.new_zeros(()))
    return torch.stack(out).reshape(len(rois), feat.size(1), *bins)


def test_roi_pool_equals_plain_loop():
    # outside the map, inside out, and without extent between two pixels
    empty = torch.tensor([[1, 30.0, 30, 40, 40], [0, 5, 5, 1, 9], [0, 5, 3, 4, 9]])
    rois = torch.cat([ROIS, empty])
    feat = randn(2, 2, 8, 9).requires_grad_()
    out = ops.roi_pool(feat, rois, (3, 2), 0.5)
    expected = roi_pool_loop(feat, rois, (3, 2), 0.5)
    assert torch.equal(out, expected)
    assert not out[4:].any()
    grad = randn(*out.shape, seed=1)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0], 1e-12)


def test_roi_pool_equals_torchvision_on_whole_pixels(device):
    """There, and only there, rounding the regions makes no difference."""
    feat = randn(2, 3, 12, 14, dtype=torch.float32).to(device).requires_grad_()
    rois = torch.tensor([[0, 1.0, 2, 9, 7], [1, 0, 0, 13, 11], [1, 4, 4, 4, 4]], device=device)
    out = ops.RoIPool((3, 4), 1.0)(feat, rois)
    expected = torchvision.ops.roi_pool(feat, rois, (3, 4), 1.0)
    assert torch.equal(out, expected)
    grad = randn(*out.shape, seed=1, dtype=torch.float32).to(device)
    (actual,) = torch.autograd.grad(out, feat, grad)
    assert_close(actual, torch.autograd.grad(expected, feat, grad)[0].cpu(), 1e-6)


def test_no_regions():
    feat = randn(1, 2, 5, 6, dtype=torch.float32).requires_grad_()
    for pool in (ops.RoIAlign(3), ops.RoIAlign(3, pool_mode='max'), ops.RoIPool(3)):
        out = pool(feat, torch.zeros(0, 5))
        assert out.shape == (0, 2, 3, 3)
        out.sum().backward()
    assert not feat.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    'pool',
    [ops.RoIAlign(4, 0.5, 2), ops.RoIAlign(4, 0.5, 2, 'max'), ops.RoIPool(4, 0.5)],
    ids=['avg', 'max', 'pool'],
)
def test_regions_in_half_precision(pool, dtype, device):
    feat = randn(2, 3, 8, 9).to(device, dtype).requires_grad_()
    rois = ROIS.to(device, dtype)
    out = pool(feat, rois)
    assert out.dtype == dtype
    out.sum().backward()
    exact = feat.detach().float().requires_grad_()
    expected = pool(exact, rois.float())
    expected.sum().backward()
    tolerance = 4 * torch.finfo(dtype).eps
    assert_close(out, expected.cpu(), tolerance, dtype=dtype)
    # the winning samples' places are kept in the input's precision
    assert_close(feat.grad, exact.grad.cpu(), 4 * tolerance, dtype=dtype)
