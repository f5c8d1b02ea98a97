"""Non-maximum suppression."""

import math

import numpy as np
import pytest
import torch
from mmcv import ops

from ...testing import assert_close
from .common import COMPILED, compiled


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
