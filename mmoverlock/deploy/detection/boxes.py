"""Boxes from a head's deltas, inside the picture."""

from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from ..exportable import Size


def decode(coder: Any, priors: Tensor, deltas: Tensor, size: Size) -> Tensor:
    """
    Args:
        coder: mmdet's box coder.
        priors: (B, N, 4), or (B, N, 2) of coders that start from points.
        deltas: (B, N, 4), or (B, N, classes * 4).
        size: Boxes end at this height and width, if the coder clips at all.

    Returns:
        Boxes x1, y1, x2, y2, of the shape of `deltas`, float32.
    """
    boxes = coder.decode(priors.flatten(0, 1), deltas.float().flatten(0, 1), max_shape=None)
    boxes = get_box_tensor(boxes).view(*deltas.shape[:2], -1, 4)
    if coder.clip_border:
        height, width = size
        x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
        boxes = torch.stack([x, y], dim=-1).flatten(-2)
    return boxes.flatten(2)


def large_enough(boxes: Tensor, least: float) -> Tensor:
    """Whether boxes (..., 4) are wider and higher than `least`; all are if it is negative."""
    if least < 0:
        return torch.ones_like(boxes[..., 0], dtype=torch.bool)
    return (boxes[..., 2:] - boxes[..., :2] > least).all(-1)
