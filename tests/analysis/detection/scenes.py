"""Predictions made by hand: boxes of pictures of 100 x 100 pixels, in rows (label, x, y, w, h)."""

import numpy as np
from pycocotools import mask as coco_mask

from mmoverlock.analysis.detection.objects import Found, Truth
from mmoverlock.analysis.detection.sample import Sample

SIZE = 100, 100


def truth(*rows, crowds=(), masks=False) -> Truth:
    """True objects; `crowds` are the numbers of those that are crowds."""
    labels, boxes = _columns(rows)
    flags = np.isin(np.arange(len(rows)), crowds)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return Truth(boxes, labels, _filled(boxes) if masks else None, areas, flags, flags)


def found(*rows, masks=False) -> Found:
    """Detections: the last number of a row is the score."""
    labels, boxes = _columns([row[:5] for row in rows])
    scores = np.array([row[5] for row in rows], float)
    return Found(boxes, labels, _filled(boxes) if masks else None, scores, scores)


def sample(found: Found, truth: Truth | None, index: int = 0) -> Sample:
    return Sample(index, index, SIZE, found, truth)


def _columns(rows):
    table = np.array(rows, float).reshape(-1, 5)
    boxes = table[:, 1:].copy()
    boxes[:, 2:] += boxes[:, :2]
    return table[:, 0].astype(int), boxes


def _filled(boxes):
    """Masks that fill the boxes, of whole pixels."""
    masks = []
    for x1, y1, x2, y2 in boxes.astype(int):
        mask = np.zeros(SIZE, np.uint8, order='F')
        mask[y1:y2, x1:x2] = 1
        masks.append(coco_mask.encode(mask))
    return masks
