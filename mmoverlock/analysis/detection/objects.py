"""Objects in a picture: found by a detector, or true."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask

Kind = Literal['bbox', 'segm']
KINDS: dict[Kind, str] = {'bbox': 'box', 'segm': 'mask'}
Mask = dict[str, Any]  # COCO's run lengths, compressed: size and counts


@dataclass(frozen=True)
class Objects:
    """Objects in a picture.

    Attributes:
        boxes: (N, 4) float64: x1, y1, x2, y2 in pixels of the picture on the disk.
        labels: (N,) int64.
        masks: As many, of the size of that picture; None if there are no masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    masks: Sequence[Mask] | None

    def __len__(self) -> int:
        return len(self.labels)

    def regions(self, kind: Kind) -> np.ndarray | Sequence[Mask]:
        """What pycocotools compares: boxes (N, 4) as x, y, width, height; or masks."""
        if kind == 'segm':
            return self.masks or []
        return np.hstack([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]])

    def areas_of(self, kind: Kind) -> np.ndarray:
        """Areas of the boxes or masks, (N,) float64."""
        if kind == 'segm':
            return np.array([coco_mask.area(mask) for mask in self.masks or []], float)
        return (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)


@dataclass(frozen=True)
class Found(Objects):
    """Predicted objects.

    Attributes:
        scores: (N,) float64, from 0 to 1.
        mask_scores: Likewise of the masks; most models have no others than `scores`.
    """

    scores: np.ndarray
    mask_scores: np.ndarray

    def scores_of(self, kind: Kind) -> np.ndarray:
        return self.mask_scores if kind == 'segm' else self.scores


@dataclass(frozen=True)
class Truth(Objects):
    """True objects.

    Attributes:
        areas: (M,) float64, as annotated: they tell small objects from large ones.
        crowds: (M,) bool: regions with many objects, or objects to be ignored. What is found there
            is neither right nor wrong.
        mask_crowds: Likewise where masks are compared: also objects without a usable mask.
    """

    areas: np.ndarray
    crowds: np.ndarray
    mask_crowds: np.ndarray

    def crowds_of(self, kind: Kind) -> np.ndarray:
        return self.mask_crowds if kind == 'segm' else self.crowds
