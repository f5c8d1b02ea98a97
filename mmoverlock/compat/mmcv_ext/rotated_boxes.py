"""Overlap and non-maximum suppression of rotated boxes (x, y, width, height, radians).

Angles turn from the x to the y axis, which is clockwise in an image.
"""

import torch
from torch import Tensor

from .boxes import suppress
from .numerics import full

_PAIRS = 2**16  # computed at once, about 200 MB


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _half_axes(box: Tensor) -> Tensor:
    """From the centre to the middle of two sides, (..., 2, 2)."""
    cos, sin = box[..., 4].cos(), box[..., 4].sin()
    axes = torch.stack([cos, sin, -sin, cos], dim=-1).unflatten(-1, (2, 2))
    return axes * box[..., 2:4, None] / 2


def _intersection(box1: Tensor, box2: Tensor) -> Tensor:
    """Area (P,) that boxes (P, 5) share: the hull of corners and crossings inside of both."""
    boxes = torch.stack([box1, box2], dim=-2)
    centre, half = boxes[..., :2], _half_axes(boxes)  # (..., 2, 2), (..., 2, 2, 2)
    centre = centre - centre.mean(-2, keepdim=True)
    w, h = half.unbind(-2)
    corners = centre[..., None, :] + torch.stack([-w - h, w - h, w + h, h - w], dim=-2)
    edges = corners.roll(-1, dims=-2) - corners
    # where edges of the first box (dimension -3) and the second meet; NaN or infinite if parallel
    start, edge = corners[..., 0, :, None, :], edges[..., 0, :, None, :]
    start2, edge2 = corners[..., 1, None, :, :], edges[..., 1, None, :, :]
    along = _cross(start2 - start, edge2) / _cross(edge, edge2)
    crossings = start + along[..., None] * edge
    points = torch.cat([crossings.flatten(-3, -2), corners.flatten(-3, -2)], dim=-2)

    slack = 8 * torch.finfo(points.dtype).eps * boxes[..., 2:4].sum((-2, -1))
    length = half.norm(dim=-1)
    place = (points[..., None, None, :] - centre[..., None, :, None, :]) * half[..., None, :, :, :]
    distance = place.sum(-1).abs() / length[..., None, :, :]  # (..., 24 points, 2 boxes, 2 axes)
    inside = (distance <= length[..., None, :, :] + slack[..., None, None, None]).all(-1).all(-1)

    # the others move to the first point inside, and add nothing to the area
    points = points.masked_fill(~inside[..., None], 0)
    count = inside.sum(-1, keepdim=True).clamp(min=1)
    first = inside.byte().argmax(-1)[..., None, None].expand(*inside.shape[:-1], 1, 2)
    around = points.sum(-2, keepdim=True) / count[..., None]
    points = torch.where(inside[..., None], points, points.gather(-2, first)) - around
    turn = torch.atan2(points[..., 1], points[..., 0]).argsort(-1)
    points = points.gather(-2, turn[..., None].expand_as(points))
    return _cross(points, points.roll(-1, dims=-2)).sum(-1).abs() / 2


def _overlap(boxes1: Tensor, boxes2: Tensor, mode: int) -> Tensor:
    """IoU (mode 0) or share of the first (1) of boxes (P, 5); 0 for one without extent."""
    area1, area2 = (x[:, 2] * x[:, 3] for x in (boxes1, boxes2))
    inter = _intersection(boxes1, boxes2)
    base = area1 + area2 - inter if mode == 0 else area1
    return (inter / base).masked_fill((area1 < 1e-14) | (area2 < 1e-14), 0)


def _all_overlaps(boxes1: Tensor, boxes2: Tensor, mode: int) -> Tensor:
    """Overlaps (N, M); computed only where the circles around the boxes meet."""
    radius1, radius2 = (x[:, 2:4].norm(dim=1) / 2 for x in (boxes1, boxes2))
    distance = (boxes1[:, None, :2] - boxes2[:, :2]).norm(dim=2)
    pairs = (distance <= radius1[:, None] + radius2).nonzero(as_tuple=True)
    overlaps = boxes1.new_zeros(distance.shape)
    for i, j in zip(*(index.split(_PAIRS) for index in pairs), strict=True):
        overlaps[i, j] = _overlap(boxes1[i], boxes2[j], mode)
    return overlaps


def box_iou_rotated(
    boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool
) -> None:
    """Fills ``ious`` (N * M,), or (N,) if ``aligned``: IoU (mode 0) or share of the first (1)."""
    overlaps = _overlap if aligned else _all_overlaps
    ious.copy_(overlaps(full(boxes1), full(boxes2), mode_flag).flatten())


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: int,
) -> Tensor:
    """Indices of the kept boxes by falling score, in which ``order`` sorts ``dets`` (N, 5 or 6).

    Boxes suppress one another whatever their labels, in compiled mmcv, too: ``batched_nms`` moves
    the boxes of each class apart first.
    """
    boxes = full(dets)[:, :5]

    def overlaps(best: Tensor, others: Tensor) -> Tensor:
        return _all_overlaps(boxes[best, None], boxes[others], 0)[0] >= iou_threshold

    kept = [best for best, _ in suppress(order, overlaps)]
    return torch.stack(kept) if kept else order
