"""Non-maximum suppression, of all pictures and groups in one call."""

import torch
import torchvision
from torch import Tensor

from .rows import ABSENT, best_rows


def suppress(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float, count: int
) -> tuple[Tensor, Tensor]:
    """The `count` best boxes that overlap no better one of the same picture and group.

    Groups are moved apart to the right, as mmdet does, and pictures downwards: along one axis alone
    a large batch would leave float32 too few digits for the boxes themselves.

    Args:
        boxes: (B, N, 4), x1, y1, x2, y2.
        scores: (B, N); a negative one marks a row that holds nothing.
        groups: (B, N), int64, of classes or levels.

    Returns:
        Scores and indices, both (B, count), as :func:`best_rows` gives them.
    """
    pictures = torch.arange(boxes.size(0), device=boxes.device)[:, None].expand_as(groups)
    shift = torch.stack([groups, pictures, groups, pictures], dim=-1)
    apart = (boxes + shift * (boxes.max() + 1)).flatten(0, 1)
    flat = scores.flatten()
    rows = (flat >= 0).nonzero()[:, 0]
    kept = rows[torchvision.ops.nms(apart[rows], flat[rows], iou_threshold)]
    remaining = torch.full_like(flat, ABSENT).index_put((kept,), flat[kept])
    return best_rows(remaining.view_as(scores), count)
