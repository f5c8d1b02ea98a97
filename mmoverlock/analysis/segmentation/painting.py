"""Errors painted into pictures."""

import numpy as np

ERROR, SHADE = (217, 48, 37), (190, 190, 190)


def pale(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in pale grey, for colours on it."""
    grey = picture.mean(2, keepdims=True).repeat(3, 2)
    return (90 + 0.6 * grey).astype(np.uint8)


def painted(picture: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """A pale grey picture (H, W, 3) with errors in red (where `wrong` is 1) and what does not count
    in grey (where it is 2).
    """
    canvas = pale(picture)
    for kind, colour in ((1, ERROR), (2, SHADE)):
        canvas[wrong == kind] = colour
    return canvas
