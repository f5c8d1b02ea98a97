"""Which detection is which true object."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from .objects import Found, Kind, Truth

MIN_SCORE = 0.3  # of detections that count as such, where one threshold is needed; infer's default
MIN_IOU = 0.5


@dataclass(frozen=True)
class Matches:
    """What became of the detections of a picture.

    Attributes:
        truth: (N,) int64: for each detection its true object, or -1.
        ignored: (N,) bool: detections without one that lie in a crowd.
    """

    truth: np.ndarray
    ignored: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool: detections with a true object."""
        return self.truth >= 0

    @property
    def false(self) -> np.ndarray:
        """(N,) bool: detections of nothing."""
        return ~self.hits & ~self.ignored

    def missed(self, truth: Truth, kind: Kind = 'bbox') -> np.ndarray:
        """(M,) bool: true objects, crowds aside, without a detection."""
        free = ~truth.crowds_of(kind)
        free[self.truth[self.hits]] = False
        return free


def ious(found: Found, truth: Truth, kind: Kind = 'bbox') -> np.ndarray:
    """Intersection over union of detections and true objects, (N, M).

    For crowds it is, by COCO's rule, the intersection over the detection's own area.
    """
    if not len(found) or not len(truth):
        return np.zeros((len(found), len(truth)))
    crowds = truth.crowds_of(kind).astype(int).tolist()
    return np.asarray(coco_mask.iou(found.regions(kind), truth.regions(kind), crowds))


def match(
    found: Found,
    truth: Truth,
    kind: Kind = 'bbox',
    min_score: float = 0,
    min_iou: float = MIN_IOU,
    any_class: bool = False,
) -> Matches:
    """Match greedily, as COCO's evaluation does.

    The detections choose in the order of their scores: each takes, of the true objects that are
    still free, that of the largest IoU, if it is at least `min_iou`. A detection that finds none,
    but lies in a crowd by at least `min_iou` of its area, is ignored.

    Args:
        found: The detections.
        truth: The true objects.
        kind: Whether boxes ('bbox') or masks ('segm') are compared.
        min_score: Detections with a lower score count as ignored.
        min_iou: Least IoU of a match.
        any_class: Match objects of different classes, too; COCO's evaluation does not.
    """
    scores, overlap = found.scores_of(kind), ious(found, truth, kind)
    if not any_class:
        overlap = overlap * (found.labels[:, None] == truth.labels)
    crowds = truth.crowds_of(kind)
    in_crowd = (overlap[:, crowds] >= min_iou).any(1)
    overlap[:, crowds] = 0
    matched = np.full(len(found), -1)
    for i in np.argsort(-scores, kind='stable').tolist():
        if scores[i] >= min_score and len(truth):
            # Of equals COCO takes the last.
            best = len(truth) - 1 - int(overlap[i, ::-1].argmax())
            if overlap[i, best] >= min_iou:
                matched[i] = best
                overlap[:, best] = 0
    return Matches(matched, (matched < 0) & (in_crowd | (scores < min_score)))
