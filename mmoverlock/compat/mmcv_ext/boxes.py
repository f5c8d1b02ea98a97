"""Non-maximum suppression: mmcv's ``nms`` on torchvision's, and ``softnms``, which it lacks."""

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
