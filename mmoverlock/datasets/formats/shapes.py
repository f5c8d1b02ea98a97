"""Boxes and masks of one object: their values checked, clipped to the image.

Coordinates are in pixels; a pixel's corners have whole numbers, as in COCO's polygons.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]  # x, y, width, height
Size = tuple[int, int]  # width, height


def check_box(values: Any) -> Box:
    """The four finite numbers of a box, of which the last two are not negative.

    Raises:
        ValueError: they are not.
    """
    try:
        box = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        box = ()
    if len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) < 0:
        raise ValueError(
            f'the box {values} is not x, y, width, height, of which the last two are at least 0'
        )
    return box


def clip_box(box: Box, size: Size) -> Box:
    """The part of a box inside an image; its width or height is 0 if there is none."""
    x, y, width, height = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, size[0]), min(y + height, size[1])
    if (left, top, right, bottom) == (x, y, x + width, y + height):
        return box  # without the rounding of the differences below
    return left, top, max(right - left, 0.0), max(bottom - top, 0.0)


def box_corners(box: Box) -> list[float]:
    """A box as a polygon."""
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def check_polygons(mask: Any) -> list[np.ndarray]:
    """A mask's polygons, each (points, 2); a single one need not be in a list.

    Raises:
        ValueError: they are no lists of finite numbers, or x and y are not in turn.
    """
    if not isinstance(mask, list | tuple):
        raise ValueError(
            f'the mask {_short(mask)} is neither a list of polygons nor run lengths with size and '
            'counts'
        )
    if all(isinstance(value, int | float) for value in mask):
        mask = [mask]
    polygons = []
    for one in mask:
        try:
            points = np.asarray(one, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            points = np.array(math.nan)
        if points.ndim != 1 or len(points) % 2 or not np.isfinite(points).all():
            raise ValueError(
                f'the polygon {_short(one)} is not an even number of finite numbers, x and y in '
                'turn'
            )
        polygons.append(points.reshape(-1, 2))
    return polygons


def polygon_area(points: np.ndarray) -> float:
    """The area of a polygon (points, 2)."""
    if len(points) < 3:
        return 0.0
    x, y = (points - points[0]).T  # the terms with the first point are 0
    return abs(float(x[1:-1] @ y[2:] - x[2:] @ y[1:-1])) / 2


def clip_polygon(points: np.ndarray, size: Size) -> np.ndarray:
    """The part of a polygon (points, 2) inside an image (Sutherland and Hodgman's algorithm)."""
    for axis, bound in ((0, 0.0), (1, 0.0), (0, float(size[0])), (1, float(size[1]))):
        if not len(points):
            break
        side = points[:, axis] - bound if bound == 0 else bound - points[:, axis]
        if (side >= 0).all():
            continue
        kept = []
        for i, (point, inside) in enumerate(zip(points, side, strict=True)):
            before = side[i - 1]
            if min(before, inside) < 0 < max(before, inside):  # an edge that crosses the bound
                crossing = points[i - 1] + (point - points[i - 1]) * (before / (before - inside))
                crossing[axis] = bound
                kept.append(crossing)
            if inside >= 0:
                kept.append(point)
        points = np.array(kept).reshape(-1, 2)
    return points


def fit_polygons(mask: Any, size: Size) -> tuple[list[list[float]], Box | None, float, float]:
    """Polygons clipped to the image, without those of no area.

    Returns:
        Polygons of x and y in turn, the box around them, their area, and by how many pixels the
        original ones reach outside.

    Raises:
        ValueError: see :func:`check_polygons`.
    """
    polygons, boxes, area, over = [], [], 0.0, 0.0
    for points in check_polygons(mask):
        if len(points) == 0:
            continue
        corners = _corners(points)
        outside = max(-min(corners[:2]), corners[2] - size[0], corners[3] - size[1])
        if outside > 0:
            over = max(over, outside)
            points = clip_polygon(points, size)
        own_area = polygon_area(points)
        if own_area > 0:
            polygons.append(points.ravel().tolist())
            boxes.append(_corners(points) if outside > 0 else corners)
            area += own_area
    if not boxes:
        return [], None, 0.0, over
    left, top, right, bottom = (
        function(values)
        for function, values in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    return polygons, (left, top, right - left, bottom - top), area, over


def _corners(points: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of points (points, 2)."""
    return *points.min(0).tolist(), *points.max(0).tolist()


def fit_run_lengths(
    mask: Mapping[str, Any], size: Size
) -> tuple[dict[str, Any], Box | None, float]:
    """Run lengths, which may be a list, as compressed ones, and their box and area.

    Raises:
        ValueError: they are of another size than the image's, or no run lengths.
    """
    from pycocotools import mask as coco_mask  # here: it comes with mmdet

    height_width, counts = mask.get('size'), mask.get('counts')
    if height_width != [size[1], size[0]]:
        raise ValueError(
            f'the run lengths are for a size (height, width) of {height_width}, but the image has '
            f'{[size[1], size[0]]}'
        )
    if isinstance(counts, list):
        total = sum(counts) if all(type(n) is int and n >= 0 for n in counts) else None
        if total != size[0] * size[1]:
            raise ValueError(
                f'the run lengths {_short(counts)} are not numbers from 0 with a sum of '
                f'{size[0] * size[1]}'
            )
        counts = coco_mask.frPyObjects(dict(mask), size[1], size[0])['counts'].decode()
    elif not isinstance(counts, str) or not _is_compressed(counts):
        raise ValueError(f'the run lengths {_short(counts)} are neither a list nor compressed ones')
    mask = dict(size=height_width, counts=counts)
    area = int(coco_mask.area(mask))
    if area > size[0] * size[1]:
        raise ValueError(f'the run lengths {_short(counts)} are longer than the image')
    return mask, (tuple(coco_mask.toBbox(mask).tolist()) if area else None), area


def _is_compressed(counts: str) -> bool:
    """Whether pycocotools can read the run lengths: it does not look where the text ends."""
    digits = [ord(character) - 48 for character in counts]
    return bool(digits) and all(0 <= digit < 64 for digit in digits) and digits[-1] < 32


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + '...'
