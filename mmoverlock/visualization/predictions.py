"""A detector's predictions on pictures: one picture, or a grid of a test run's first ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask

from .drawing import Colour, Found, draw_objects, usual_colours

PANEL = 3.6  # inches, at 100 dots each


def draw_detections(
    picture: np.ndarray, objects: Sequence[Mapping[str, Any]], colours: Sequence[Colour]
) -> np.ndarray:
    """Draw a detector's objects.

    Args:
        picture: (H, W, 3) uint8, RGB.
        objects: The best first: ``label``, ``name``, ``score``, ``box`` (x1, y1, x2, y2 in pixels)
            and, if known, ``mask`` (COCO's run lengths).
        colours: Of the labels.

    Returns:
        (H', W', 3) uint8, RGB; tiny pictures are enlarged.
    """
    found = []
    for one in objects:
        mask = coco_mask.decode(one['mask']).astype(bool) if 'mask' in one else None
        caption = f'{one["name"]} {one["score"]:.0%}'
        found.append(Found(caption, one['box'], colours[one['label']], mask))
    return draw_objects(picture, found)


def draw_predictions(
    predictions: str | Path,
    classes: Sequence[str],
    path: str | Path,
    count: int = 12,
    min_score: float = 0.5,
) -> None:
    """Draw the first pictures of a test run with what was found in them.

    Args:
        predictions: File of predictions that a test run of mmdet wrote.
        classes: Class names in the order of the labels.
        path: The picture to write, or to replace.
        count: Number of pictures.
        min_score: Least score of what is drawn.

    Raises:
        ValueError: if the file holds no detections, or a picture is not where it was.
    """
    samples = mmengine.load(predictions)[:count]
    if not samples or 'pred_instances' not in samples[0]:
        raise ValueError(f"'{predictions}' holds no detections")
    columns = min(6, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(PANEL * columns, PANEL * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis('off')
    colours = usual_colours(len(classes))
    for axes, sample in zip(panels, samples, strict=False):
        if not Path(sample['img_path']).is_file():
            raise ValueError(f"picture '{sample['img_path']}' of '{predictions}' does not exist")
        picture = cv2.imread(sample['img_path'])[..., ::-1]
        objects = _objects(sample['pred_instances'], classes, min_score)
        axes.imshow(draw_detections(picture, objects, colours))
    figure.savefig(path, dpi=100)


def _objects(
    found: Mapping[str, Any], classes: Sequence[str], min_score: float
) -> list[dict[str, Any]]:
    """The objects of a data sample as :func:`draw_detections` takes them."""
    objects = []
    for i in found['scores'].argsort(descending=True).tolist():
        score, label = found['scores'][i].item(), int(found['labels'][i])
        if score >= min_score:
            box = found['bboxes'][i].tolist()
            mask = dict(mask=found['masks'][i]) if 'masks' in found else {}
            objects.append(dict(label=label, name=classes[label], score=score, box=box, **mask))
    return objects
