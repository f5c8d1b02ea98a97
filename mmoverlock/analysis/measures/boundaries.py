"""Errors at the boundaries of objects, in maps of labels."""

import cv2
import numpy as np

from .label_maps import IGNORED

# Pixels: widths of the bands on both sides of a boundary.
BANDS = (1, 2, 4, 8, 16, 32)
WIDTH = 0.02  # of boundaries in the boundary IoU: a share of the picture's diagonal


def boundary_distance(labels: np.ndarray) -> np.ndarray:
    """How far each pixel is from the nearest boundary of labels (H, W), in pixels.

    The two pixels on both sides of a boundary have distance 1; distances to these, which are
    Euclidean, add to it. The edge of the picture is no boundary. Without any, all are infinitely
    far.

    Returns:
        (H, W) float32.
    """
    beside = np.zeros(labels.shape, bool)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        change = labels[one] != labels[other]
        beside[one] |= change
        beside[other] |= change
    if not beside.any():
        return np.full(labels.shape, np.inf, np.float32)
    inside = (~beside).astype(np.uint8)
    return 1 + cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def banded_confusion(
    truth: np.ndarray, prediction: np.ndarray, distance: np.ndarray, classes: int
) -> np.ndarray:
    """Count pixels by their distance from the boundary, true and predicted class.

    Args:
        truth: (H, W) uint8; 255 does not count.
        prediction: (H, W) uint8.
        distance: As of :func:`boundary_distance`, (H, W).
        classes: How many there are, C.

    Returns:
        (B + 1, C, C) int64: first the pixels up to BANDS[0] from the boundary, then those up to
        BANDS[1] that are farther, ..., last those beyond BANDS[B - 1]. The sums of the first ones
        are what a 'trimap' counts (Kohli, Ladicky and Torr, 2009, section 5).
    """
    valid = truth != IGNORED
    band = np.searchsorted(BANDS, distance[valid])
    cells = (band * classes + truth[valid]) * classes + prediction[valid]
    shape = len(BANDS) + 1, classes, classes
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def boundary_overlap(
    truth: np.ndarray, prediction: np.ndarray, classes: int, width: int | None = None
) -> np.ndarray:
    """Intersection and union of the boundaries of each class, for its boundary IoU.

    The boundary of a class are its pixels up to `width` from what is outside of it, the outside of
    the picture included (Cheng et al., Boundary IoU, CVPR 2021, equation 2).

    Args:
        truth: (H, W) uint8; 255 does not count, and belongs to no class.
        prediction: (H, W) uint8.
        classes: How many there are, C.
        width: In pixels, by square neighbourhoods; by default 2% of the diagonal, as in the paper.

    Returns:
        (2, C) int64: intersections and unions, in pixels.
    """
    width = width or max(1, round(WIDTH * float(np.hypot(*truth.shape))))
    counts = np.zeros((2, classes), np.int64)
    prediction = np.where(truth == IGNORED, IGNORED, prediction)
    for label in np.union1d(truth, prediction):
        if label != IGNORED:
            one, other = (_inner_boundary(labels == label, width) for labels in (truth, prediction))
            counts[:, label] = (one & other).sum(), (one | other).sum()
    return counts


def _inner_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """Those pixels of a mask (H, W) that are at most `width` from its outside, (H, W) bool."""
    left = cv2.erode(
        mask.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=width,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return mask & (left == 0)
