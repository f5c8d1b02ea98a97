"""Overlap and non-maximum suppression of rotated boxes."""

import math

import pytest
import torch
import torchvision
from mmcv import ops

from ...testing import assert_close
from .common import HALVES, assert_runs_on_any_device, randn


def boxes(count, seed=0, dtype=torch.float64):
    """Boxes of 2 to 12 pixels in 20 x 20, at any angle."""
    generator = torch.Generator().manual_seed(seed)
    place, size, angle = torch.rand(5, count, generator=generator).double().split((2, 2, 1))
    return torch.cat([20 * place, 2 + 10 * size, 7 * (angle - 0.5)]).T.contiguous().to(dtype)


def corners(box):
    x, y, w, h, angle = box
    cos, sin = math.cos(angle), math.sin(angle)
    signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return [
        (x + (a * w * cos - b * h * sin) / 2, y + (a * w * sin + b * h * cos) / 2) for a, b in signs
    ]


def area(polygon):
    following = polygon[1:] + polygon[:1]
    return sum(p[0] * q[1] - q[0] * p[1] for p, q in zip(polygon, following, strict=True)) / 2


def shared_area(box1, box2):
    """The first box, cut along every side of the second (Sutherland and Hodgman)."""
    polygon, cutter = corners(box1), corners(box2)
    for a, b in zip(cutter, cutter[1:] + cutter[:1], strict=True):
        side = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in polygon]
        cut = []
        for i, p in enumerate(polygon):
            q, s, t = polygon[i - 1], side[i - 1], side[i]
            if s * t < 0:
                cut.append(tuple(c + (d - c) * s / (s - t) for c, d in zip(q, p, strict=True)))
            if t >= 0:
                cut.append(p)
        polygon = cut
    return area(polygon) if polygon else 0.0


def overlap_loop(boxes1, boxes2, mode):
    ious = torch.zeros(len(boxes1), len(boxes2), dtype=torch.float64)
    for i, a in enumerate(boxes1.tolist()):
        for j, b in enumerate(boxes2.tolist()):
            inter = shared_area(a, b)
            total = a[2] * a[3] + (b[2] * b[3] - inter if mode == 'iou' else 0)
            ious[i, j] = inter / total
    return ious


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_overlap_equals_plain_loop(dtype, tolerance, mode, device):
    boxes1, boxes2 = boxes(40), boxes(30, seed=1)
    expected = overlap_loop(boxes1, boxes2, mode)
    ious = ops.box_iou_rotated(boxes1.to(device, dtype), boxes2.to(device, dtype), mode)
    assert_close(ious, expected, tolerance, dtype=dtype)
    pairs = ops.box_iou_rotated(boxes1[:30].to(device, dtype), boxes2.to(device, dtype), mode, True)
    assert_close(pairs, expected[:30].diagonal(), tolerance, dtype=dtype)
    assert (expected > 0.2).any() and (expected == 0).any()


def test_counterclockwise():
    boxes1, boxes2 = boxes(20), boxes(20, seed=1)
    mirror = torch.tensor([1.0, 1, 1, 1, -1], dtype=torch.float64)
    ious = ops.box_iou_rotated(boxes1 * mirror, boxes2 * mirror, clockwise=False)
    assert torch.equal(ious, ops.box_iou_rotated(boxes1, boxes2))


@pytest.mark.parametrize('quarters', range(4))
def test_upright_boxes_equal_torchvision(quarters, device):
    """Sides of many are parallel, and of some the same."""
    x1, y1, w, h = torch.cartesian_prod(
        *[torch.tensor([0.0, 1, 2]).double()] * 2, *[torch.tensor([1.0, 2]).double()] * 2
    ).T
    upright = torch.stack([x1, y1, x1 + w, y1 + h], 1)
    sides = [h, w] if quarters % 2 else [w, h]
    angle = torch.full_like(x1, quarters * math.pi / 2)
    rotated = torch.stack([x1 + w / 2, y1 + h / 2, *sides, angle], 1).to(device)
    expected = torchvision.ops.box_iou(upright, upright)
    assert_close(ops.box_iou_rotated(rotated, rotated), expected, 1e-12)
    assert_close(ops.box_iou_rotated(rotated.float(), rotated.float()), expected.float(), 1e-5)


@pytest.mark.parametrize('angle', torch.linspace(-3, 3, 13).tolist())
@pytest.mark.parametrize('size', [(4, 1000), (600, 800), (0.01, 0.02), (30, 30)])
def test_a_box_is_itself(size, angle):
    """In float32, where corners are on one another's sides but for rounding."""
    box = torch.tensor([[512.3, 300.7, *size, angle]])
    assert_close(ops.box_iou_rotated(box, box), torch.ones(1, 1), 1e-4)
    turned = box + torch.tensor([0, 0, 0, 0, math.pi])
    assert_close(ops.box_iou_rotated(box, turned), torch.ones(1, 1), 1e-4)


def test_boxes_without_extent_and_no_boxes():
    flat = torch.tensor([[5.0, 5, 0, 4, 0.3], [5, 5, 4, 4, 0.3]])
    assert_close(ops.box_iou_rotated(flat, flat), torch.tensor([[0.0, 0], [0, 1]]), 1e-5)
    assert ops.box_iou_rotated(flat, flat[:0]).shape == (2, 0)
    assert ops.box_iou_rotated(flat[:0], flat).shape == (0, 2)


def test_pairs_are_computed_in_parts(monkeypatch):
    from mmcv._ext import rotated_boxes

    boxes1, boxes2 = boxes(20), boxes(7, seed=1)
    expected = ops.box_iou_rotated(boxes1, boxes2)
    monkeypatch.setattr(rotated_boxes, '_PAIRS', 11)
    assert torch.equal(ops.box_iou_rotated(boxes1, boxes2), expected)


@pytest.mark.parametrize('threshold', [0.1, 0.4])
def test_nms_equals_plain_loop(threshold, device):
    dets, scores = boxes(60), randn(60, seed=2)
    ious, expected = overlap_loop(dets, dets, 'iou'), []
    for i in scores.argsort(descending=True).tolist():
        if not any(ious[kept, i] >= threshold for kept in expected):
            expected.append(i)
    kept, indices = ops.nms_rotated(dets.to(device), scores.to(device), threshold)
    assert indices.tolist() == expected
    assert len(expected) < 60
    assert torch.equal(kept.cpu(), torch.cat([dets, scores[:, None]], 1)[expected])


def test_labels_are_kept_apart_by_batched_nms_alone():
    """Facts of mmcv's tests: of four boxes of two classes, the third falls."""
    dets = torch.tensor(
        [[6.0, 3, 8, 7, 0.5], [3, 6, 9, 11, 0.6], [3, 7, 10, 12, 0.3], [1, 4, 13, 7, 0.6]]
    )
    scores, labels = torch.tensor([0.7, 0.8, 0.5, 0.9]), torch.tensor([1.0, 0, 1, 0])
    assert ops.nms_rotated(dets, scores, 0.5, labels)[1].tolist() == [3, 1, 0]
    options = dict(type='nms_rotated', iou_threshold=0.5)
    assert ops.batched_nms(dets, scores, labels, options)[1].tolist() == [3, 1, 0, 2]


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision(dtype, device):
    dets, scores = boxes(40).to(device, dtype), torch.linspace(1, 0, 40, device=device).to(dtype)
    ious = ops.box_iou_rotated(dets, dets)
    assert torch.equal(ious, ops.box_iou_rotated(dets.float(), dets.float()).to(dtype))
    _, kept = ops.nms_rotated(dets, scores, 0.3)
    assert torch.equal(kept, ops.nms_rotated(dets.float(), scores.float(), 0.3)[1])


def test_any_device():
    """Pair by pair: which of all pairs are computed depends on numbers."""
    assert_runs_on_any_device(
        lambda *pair: ops.box_iou_rotated(*pair, aligned=True), boxes(5), boxes(5, seed=1)
    )
