"""Overlaps and non-maximum suppression; ``nms`` is torchvision's, which lacks the others."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torchvision
from torch import Tensor

from .numerics import full


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices (int64) of the kept boxes (N, 4), by falling score."""
    boxes, scores = full(boxes), full(scores).to(full(boxes).dtype)
    if offset:  # the last pixel belongs to the box
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # mmcv compares in float32: an overlap of exactly 0.3 does not exceed a threshold of 0.3
    return torchvision.ops.nms(boxes, scores, float(np.float32(iou_threshold)))


def suppress(
    order: Tensor, overlaps: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each kept index and the indices that it suppresses, best first.

    ``order`` (N,) holds indices by falling score; ``overlaps(kept, others)`` tells which of the
    others the kept one suppresses.
    """
    while order.numel():
        best, order = order[0], order[1:]
        hit = overlaps(best, order)
        yield best, order[hit]
        order = order[~hit]


def _overlap(boxes1: Tensor, boxes2: Tensor, mode: int, offset: int) -> Tensor:
    """IoU (mode 0) or share of the first (1) of boxes (..., 4)."""
    corner = torch.maximum(boxes1[..., :2], boxes2[..., :2])
    size = torch.minimum(boxes1[..., 2:], boxes2[..., 2:]) - corner + offset
    inter = size.clamp(min=0).prod(-1)
    area1, area2 = ((x[..., 2:] - x[..., :2] + offset).prod(-1) for x in (boxes1, boxes2))
    base = area1 + area2 - inter if mode == 0 else area1
    return inter / base.clamp(min=offset)


def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Fills ``ious`` (N, M), or (N,) if ``aligned``: IoU (mode 0) or share of the first box (1)."""
    bboxes1 = full(bboxes1) if aligned else full(bboxes1)[:, None]
    ious.copy_(_overlap(bboxes1, full(bboxes2), mode, offset))


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of ``dets`` (N, 5: box, score): a kept box, then the boxes that it suppresses.

    Here, unlike in ``nms``, an overlap that equals the threshold suppresses.
    """
    boxes, scores = full(dets)[:, :4], dets[:, 4]

    def overlaps(best: Tensor, others: Tensor) -> Tensor:
        return _overlap(boxes[best], boxes[others], 0, 0) >= iou_threshold

    order = scores.argsort(descending=True, stable=True)
    return [[best.item(), *others.tolist()] for best, others in suppress(order, overlaps)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., 2017) on the CPU; method 0 is naive, 1 linear, 2 gaussian.

    Each round takes the best box left and lowers the scores of those that overlap it. Fills
    ``dets`` (N, 5) from the top with boxes and lowered scores, and returns the indices of the
    M <= N boxes that stayed at or above ``min_score``.
    """
    box = full(boxes).detach().numpy()
    score = full(scores).detach().numpy().astype(box.dtype)  # a copy: it is lowered below
    area = (box[:, 2] - box[:, 0] + offset) * (box[:, 3] - box[:, 1] + offset)
    left, kept = np.arange(len(box)), []
    while left.size:
        # mmcv swaps boxes in place; so do we, since this order decides between equal scores
        top = score[left].argmax()
        best, left[top] = left[top], left[0]
        kept.append(best)
        left = left[1:]

        corner = np.maximum(box[best, :2], box[left, :2])
        size = np.minimum(box[best, 2:], box[left, 2:]) - corner + offset
        inter = size.clip(min=0).prod(axis=1)
        union = area[best] + area[left] - inter
        iou = np.divide(inter, union, out=np.zeros_like(inter), where=union != 0)
        if method == 2:
            score[left] *= np.exp(-(iou * iou) / sigma)
        else:
            lowered = 1 - iou if method == 1 else 0
            score[left] *= np.where(iou >= iou_threshold, lowered, 1)

        alive = score[left] >= min_score  # gaps are filled from the end, as mmcv does
        count = alive.sum()
        left[:count][~alive[:count]] = left[count:][alive[count:]][::-1]
        left = left[:count]
    order = torch.tensor(np.array(kept, dtype=np.int64))
    dets[: len(kept)] = torch.from_numpy(np.column_stack([box, score]))[order]
    return order
