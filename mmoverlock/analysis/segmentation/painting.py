"""Errors painted into pictures."""

import numpy as np

from ..measures.label_maps import IGNORED

ERROR, SHADE = (217, 48, 37), (190, 190, 190)


def pale(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in pale grey, for colours on it."""
    grey = picture.mean(2, keepdims=True).repeat(3, 2)
    return (90 + 0.6 * grey).astype(np.uint8)


def error_marks(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where labels (H, W) are wrong, 2 where the truth is unknown, else 0; uint8."""
    return np.where(truth == IGNORED, 2, prediction != truth).astype(np.uint8)


def painted(picture: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """A pale grey picture (H, W, 3) with errors in red and what does not count in grey.

    Args:
        picture: (H, W, 3) uint8.
        wrong: As of :func:`error_marks`.
    """
    canvas = pale(picture)
    for kind, colour in ((1, ERROR), (2, SHADE)):
        canvas[wrong == kind] = colour
    return canvas
