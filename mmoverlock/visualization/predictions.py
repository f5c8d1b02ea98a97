"""A detector's predictions: its objects, and a grid of a test run's first pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmengine
from matplotlib.figure import Figure

from .drawing import draw_objects, usual_colours

PANEL = 3.6  # inches, at 100 dots each
COUNT = 12  # pictures at most
MIN_SCORE = 0.5  # of what is drawn


def draw_predictions(predictions: str | Path, classes: Sequence[str], path: str | Path) -> None:
    """Draw what a test run of mmdet found in its first pictures, to the picture `path`.

    Raises:
        ValueError: if the file of predictions holds none, or a picture is not where it was.
    """
    samples = mmengine.load(predictions)[:COUNT]
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
        objects = objects_of(sample['pred_instances'], classes, MIN_SCORE)
        axes.imshow(draw_objects(picture, objects, colours))
    figure.savefig(path, dpi=100)


def objects_of(
    found: Mapping[str, Any], classes: Sequence[str], min_score: float
) -> list[dict[str, Any]]:
    """A detector's ``pred_instances`` with run-length masks, as :func:`draw_objects` takes them."""
    objects = []
    for i in found['scores'].argsort(descending=True).tolist():
        label, score = found['labels'][i].item(), found['scores'][i].item()
        if score >= min_score:
            box = found['bboxes'][i].tolist()
            objects.append(dict(name=classes[label], label=label, score=score, box=box))
            if 'masks' in found:
                objects[-1]['mask'] = found['masks'][i]
    return objects
