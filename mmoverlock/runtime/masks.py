"""Masks of objects: from a network's small ones to the picture, and as COCO's run lengths."""

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) in COCO's compressed run lengths."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {**encoded, 'counts': encoded['counts'].decode()}


def pasted(
    mask: np.ndarray, box: np.ndarray, size: tuple[int, int], threshold: float
) -> np.ndarray:
    """Stretch a mask over its box, and ask which pixels of the picture it holds.

    As mmdet does it: bilinear between the centres of the mask's cells, and zero beyond them.

    Args:
        mask: (h, w), probabilities.
        box: x1, y1, x2, y2 in pixels of the picture.
        size: Height and width of the picture.
        threshold: Least probability of a pixel.

    Returns:
        (H, W) bool.
    """
    canvas = np.zeros(size, bool)
    x1, y1, x2, y2 = map(float, box)
    left, top = max(int(np.floor(x1)) - 1, 0), max(int(np.floor(y1)) - 1, 0)
    right, below = min(int(np.ceil(x2)) + 1, size[1]), min(int(np.ceil(y2)) + 1, size[0])
    if x2 <= x1 or y2 <= y1 or right <= left or below <= top:
        return canvas
    height, width = mask.shape
    columns = (np.arange(left, right) + 0.5 - x1) / (x2 - x1) * width - 0.5
    rows = (np.arange(top, below) + 0.5 - y1) / (y2 - y1) * height - 0.5
    stretched = _interpolated(_interpolated(mask.astype(np.float32), rows).T, columns).T
    canvas[top:below, left:right] = stretched >= threshold
    return canvas


def _interpolated(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows (n, ...) at fractional places, linear between them, zero beyond."""
    padded = np.pad(values, ((1, 2), (0, 0)))
    places = np.clip(places + 1, 0, len(values) + 1)
    lower = np.floor(places).astype(int)
    share = (places - lower).astype(np.float32)[:, None]
    return padded[lower] * (1 - share) + padded[lower + 1] * share


def resized(values: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Resize (h, w) float32 to (height, width), bilinear, as torch's `interpolate` does."""
    if values.shape == size:
        return values
    if not align_corners:
        return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
    y, x = (
        np.linspace(0, old - 1, new, dtype=np.float32)
        for old, new in zip(values.shape, size, strict=True)
    )
    return cv2.remap(values, *np.meshgrid(x, y), cv2.INTER_LINEAR)
