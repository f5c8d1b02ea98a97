"""Pictures with objects in pairs: what there truly is, and what was found."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mmoverlock.visualization.contact_sheet import IGNORED, WIDTH, Panel, draw_sheet
from mmoverlock.visualization.drawing import usual_colours

from ..figures.style import shrunk
from ..subject import Subject
from .objects import Found, Mask, Objects, Truth
from .sample import Sample

SIDE = 2 * WIDTH  # pixels: larger pictures are made smaller


def draw_pairs(subject: Subject, pairs: Sequence[tuple[Panel, Panel] | None]) -> np.ndarray:
    """A contact sheet, three pairs in a row; None is an empty place. One pair at least."""
    blank = Panel(np.full((3, 4, 3), 255, np.uint8))
    panels = [panel for pair in pairs for panel in pair or (blank, blank)]
    return draw_sheet(panels, subject.classes, usual_colours(len(subject.classes)))


def pair_of(
    subject: Subject, sample: Sample, caption: str, truth: np.ndarray, found: np.ndarray
) -> tuple[Panel, Panel]:
    """The picture twice, with true objects and with detections.

    Args:
        subject: Whose picture it is.
        sample: The prediction.
        caption: Below the second.
        truth: Which true objects are drawn: numbers, or bool for each.
        found: Likewise of the detections.
    """
    whole = subject.picture(sample.index)
    picture = np.ascontiguousarray(shrunk(whole, SIDE))
    scale = picture.shape[1] / whole.shape[1]
    name = subject.name(sample.index)
    left, right = Panel(picture, name, 'truth'), Panel(picture, name, caption)
    if sample.truth is None:
        left.caption = 'no annotations'
    else:
        left.objects = [*_objects(subject, sample.truth, truth, picture, scale)]
    right.objects = [*_objects(subject, sample.found, found, picture, scale)]
    return left, right


def _objects(
    subject: Subject, objects: Objects, chosen: np.ndarray, picture: np.ndarray, scale: float
) -> Iterator[dict[str, Any]]:
    """Objects as panels take them, the best or smallest first: they are drawn on top."""
    numbers = np.arange(len(objects))[chosen]
    keys = -objects.scores if isinstance(objects, Found) else objects.areas_of('bbox')
    for i in numbers[np.argsort(keys[numbers], kind='stable')].tolist():
        label = int(objects.labels[i])
        one = dict(
            label=label, name=subject.classes[label], box=(scale * objects.boxes[i]).tolist()
        )
        if isinstance(objects, Found):
            one['score'] = float(objects.scores[i])
        elif isinstance(objects, Truth) and objects.crowds[i]:
            one |= dict(label=IGNORED, name=f'{one["name"]} (ignored)')
        if objects.masks is not None:
            one['mask'] = _mask(objects.masks[i], picture.shape[1::-1])
        yield one


def _mask(mask: Mask, size: tuple[int, int]) -> np.ndarray:
    pixels = coco_mask.decode(mask)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST).astype(bool)
