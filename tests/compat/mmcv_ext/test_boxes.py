"""Overlaps and non-maximum suppression."""

import math

import numpy as np
import pytest
import torch
import torchvision
from mmcv import ops
from mmcv.ops.bbox import _bbox_overlaps_cpu

from ...testing import assert_close
from .common import COMPILED, HALVES, assert_runs_on_any_device, compiled


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_equals_compiled(offset, device):
    boxes, scores = compiled('boxes', device), compiled('scores', device)
    dets, keep = ops.nms(boxes, scores, 0.5, offset=offset)
    assert keep.tolist() == COMPILED[f'nms_offset{offset}_keep'].tolist()
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], 1)[keep])


def test_batched_nms_equals_compiled(device):
    boxes, scores, classes = (compiled(k, device) for k in ('boxes', 'scores', 'classes'))
    dets, keep = ops.batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=0.4))
    assert keep.tolist() == COMPILED['batched_nms_keep'].tolist()
    assert_close(dets, COMPILED['batched_nms_dets'])


@pytest.mark.parametrize('method', ['linear', 'gaussian', 'naive'])
def test_soft_nms_equals_compiled(method, device):
    boxes, scores = compiled('boxes', device), compiled('scores', device)
    dets, keep = ops.soft_nms(boxes, scores, 0.3, 0.5, 1e-3, method)
    assert keep.tolist() == COMPILED[f'soft_nms_{method}_keep'].tolist()
    assert_close(dets, COMPILED[f'soft_nms_{method}_dets'])


def test_nms_compares_in_float32():
    """An overlap of exactly 0.3 does not exceed 0.3, though float32(0.3) > 0.3."""
    boxes = torch.tensor([[0.0, 0, 10, 1], [0, 0, 3, 1]])
    assert ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.3)[1].tolist() == [0, 1]


def test_nms_of_nothing():
    for function in (ops.nms, ops.soft_nms):
        dets, keep = function(torch.zeros(0, 4), torch.zeros(0), 0.5)
        assert dets.shape == (0, 5) and keep.shape == (0,) and keep.dtype == torch.int64


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_in_half_precision(dtype, device):
    boxes = compiled('boxes', device).to(dtype)
    scores = torch.linspace(1, 0.1, 200, device=device).to(dtype)
    _, keep = ops.nms(boxes, scores, 0.5)
    _, expected = ops.nms(boxes.float(), scores.float(), 0.5)
    assert torch.equal(keep, expected)
    dets, keep = ops.soft_nms(boxes, scores)
    assert dets.dtype == dtype
    assert torch.equal(keep, ops.soft_nms(boxes.float(), scores.float())[1])


def test_nms_of_arrays():
    dets, keep = ops.nms(COMPILED['boxes'], COMPILED['scores'], 0.5)
    assert isinstance(dets, np.ndarray) and keep.tolist() == COMPILED['nms_offset0_keep'].tolist()


def soft_nms_loop(boxes, scores, threshold, sigma, min_score, method, offset):
    """Box by box, swapping rows as mmcv's C++ does."""
    rows = [[*box, score, i] for i, (box, score) in enumerate(zip(boxes, scores, strict=True))]

    def area(box):
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    first = 0
    while first < len(rows):
        top = max(range(first, len(rows)), key=lambda i: (rows[i][4], -i))
        rows[first], rows[top] = rows[top], rows[first]
        best, other = rows[first], first + 1
        while other < len(rows):
            row = rows[other]
            width = min(best[2], row[2]) - max(best[0], row[0]) + offset
            height = min(best[3], row[3]) - max(best[1], row[1]) + offset
            inter = max(width, 0) * max(height, 0)
            iou = inter / (area(best) + area(row) - inter)
            if method == 'gaussian':
                row[4] *= math.exp(-iou * iou / sigma)
            elif iou >= threshold:
                row[4] *= 1 - iou if method == 'linear' else 0
            if row[4] < min_score:
                last = rows.pop()
                if other < len(rows):
                    rows[other] = last
            else:
                other += 1
        first += 1
    return torch.tensor(rows)[:, :5], [row[5] for row in rows]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['linear', 'gaussian', 'naive'])
def test_soft_nms_equals_plain_loop_with_equal_scores(method, offset):
    generator = torch.Generator().manual_seed(offset)
    corner, size = torch.rand(2, 150, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + size + 0.5], 1)
    scores = torch.randint(1, 8, (150,), generator=generator) / 8  # many are equal
    dets, keep = ops.soft_nms(boxes, scores, 0.4, 0.3, 0.1, method, offset)
    expected, expected_keep = soft_nms_loop(
        boxes.tolist(), scores.tolist(), 0.4, 0.3, 0.1, method, offset
    )
    assert keep.tolist() == expected_keep
    assert 10 < len(keep) < 150
    assert_close(dets, expected)


# mmcv's own: (x1, y1, x2, y2), where the last pixel belongs to the box
PAIR = torch.tensor([[1.0, 1, 3, 4], [2, 2, 3, 4], [7, 7, 8, 8]])
OTHERS = torch.tensor([[0.0, 2, 2, 5], [2, 1, 3, 3]])


def test_bbox_overlaps_of_mmcvs_example(device):
    ious = ops.bbox_overlaps(PAIR.to(device), OTHERS.to(device), offset=1)
    assert_close(ious, [[1 / 3, 0.5], [0.2, 0.5], [0, 0]], 1e-6, dtype=torch.float32)


@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('offset', [0, 1])
def test_bbox_overlaps_equals_mmcvs_formula(offset, mode, aligned, device):
    boxes1, boxes2 = compiled('boxes', device)[:60].split(30)
    ious = ops.bbox_overlaps(boxes1, boxes2, mode, aligned, offset)
    expected = _bbox_overlaps_cpu(boxes1, boxes2, mode, aligned, offset)
    assert_close(ious, expected.cpu(), 1e-6)
    assert ious.max() > 0.1


def test_bbox_overlaps_of_boxes_without_extent():
    """No division by zero with an offset; mmcv divides at least by it."""
    boxes = torch.tensor([[5.0, 5, 4, 4], [5, 5, 5, 5]])
    assert ops.bbox_overlaps(boxes, boxes, offset=1, aligned=True).tolist() == [0, 1]


@pytest.mark.parametrize('dtype', HALVES)
def test_bbox_overlaps_in_half_precision(dtype, device):
    boxes = compiled('boxes', device)[:40].to(dtype)
    ious = ops.bbox_overlaps(boxes, boxes)
    assert torch.equal(ious, ops.bbox_overlaps(boxes.float(), boxes.float()).to(dtype))


def test_bbox_overlaps_on_any_device():
    assert_runs_on_any_device(ops.bbox_overlaps, PAIR, OTHERS)


def nms_match_loop(boxes, scores, threshold):
    """Box by box: each joins the group of the first better box that was kept and overlaps it."""
    ious, groups = torchvision.ops.box_iou(boxes, boxes), []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for group in groups:
            if ious[group[0], i] >= threshold:
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


@pytest.mark.parametrize('threshold', [0.1, 0.5])
def test_nms_match_equals_plain_loop(threshold, device):
    boxes, scores = compiled('boxes', device), compiled('scores', device)
    groups = ops.nms_match(torch.cat([boxes, scores[:, None]], 1), threshold)
    expected = nms_match_loop(boxes.cpu(), scores.tolist(), threshold)
    assert [group.tolist() for group in groups] == expected
    assert {group.device for group in groups} == {boxes.device}
    assert any(len(group) > 1 for group in groups)


def test_nms_match_groups_at_the_threshold():
    dets = np.array([[0, 0, 4, 1, 0.9], [0, 0, 2, 1, 0.8], [3, 0, 4, 1, 0.7]], dtype=np.float32)
    groups = ops.nms_match(dets, 0.5)
    assert [group.tolist() for group in groups] == [[0, 1], [2]]
    assert all(isinstance(group, np.ndarray) for group in groups)
    assert ops.nms_match(dets[:0], 0.5) == []
