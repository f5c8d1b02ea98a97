"""Non-maximum suppression of lanes."""

import pytest
import torch
from mmcv import ops

from .common import HALVES

ROWS = 72


def lanes(count, seed=0):
    """Lanes of about a third of the rows, some of them close to another, and their scores."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(count, 4, generator=generator)
    boxes = torch.zeros(count, 5 + ROWS)
    boxes[:, 2] = (draw[:, 0] * 70).floor() / 71
    boxes[:, 4] = (draw[:, 1] * 50).floor()
    boxes[:, 5:] = 100 * (draw[:, 2:3] * 4).floor() + 30 * draw[:, 3:]
    return boxes, torch.rand(count, generator=generator)


def line_nms_loop(boxes, scores, threshold, top_k):
    order = sorted(range(len(boxes)), key=lambda i: -scores[i])
    kept, removed, parent = [], set(), [0] * len(boxes)
    for n, i in enumerate(order):
        if i in removed or len(kept) == top_k:
            continue
        kept.append(i)
        parent[i] = len(kept)
        for j in order[n + 1 :]:
            spans = [round(boxes[k][2] * 71) for k in (i, j)]
            first = max(spans)
            last = min(*(s + int(boxes[k][4]) - 1 for s, k in zip(spans, (i, j), strict=True)), 71)
            gaps = [abs(boxes[i][5 + r] - boxes[j][5 + r]) for r in range(first, last + 1)]
            if gaps and sum(gaps) < threshold * len(gaps):
                removed.add(j)
                parent[j] = len(kept)
    return kept, parent


@pytest.mark.parametrize('top_k', [100, 4])
def test_equals_plain_loop(top_k, device):
    boxes, scores = lanes(60)
    keep, count, parent = ops.line_nms(boxes.to(device), scores.to(device), 15.0, top_k)
    expected, parents = line_nms_loop(boxes.tolist(), scores.tolist(), 15.0, top_k)
    assert keep[:count].tolist() == expected
    assert not keep[count:].any() and len(keep) == 60
    assert parent.tolist() == parents
    assert 1 < count < 60
    assert keep.device == parent.device == scores.to(device).device


@pytest.mark.parametrize('dtype', HALVES)
def test_half_precision(dtype, device):
    boxes, scores = (x.to(device, dtype) for x in lanes(60))
    actual, expected = (ops.line_nms(b, scores, 15.0, 100) for b in (boxes, boxes.float()))
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))


def test_no_lanes():
    keep, count, parent = ops.line_nms(torch.zeros(0, 77), torch.zeros(0), 15.0, 4)
    assert count == 0 and keep.shape == parent.shape == (0,)
