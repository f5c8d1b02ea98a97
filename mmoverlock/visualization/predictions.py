"""What a test run predicted: a grid of its first pictures with objects or labels drawn in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .drawing import Colour, draw_labels, draw_objects, usual_colours

PANEL = 3.6  # inches, at 100 dots each
COUNT = 12  # pictures at most
MIN_SCORE = 0.5  # of what is drawn
LEGEND_WIDTH, LEGEND_HEIGHT = 1.8, 0.35  # inches of an entry
LEGEND_FONT = 15


def draw_predictions(
    predictions: str | Path,
    classes: Sequence[str],
    path: str | Path,
    palette: Sequence[Colour] | None = None,
) -> None:
    """Draw what a test run of mmdet or mmseg found in its first pictures, to the picture `path`.

    A detector's objects have their names beside them; a segmentor's labels have a legend.

    Args:
        predictions: The pickle file of the test run.
        classes: Names by label.
        path: Where to write the drawing.
        palette: Colours (RGB, 0 to 255) of a segmentor's labels; by default the usual ones.

    Raises:
        ValueError: if the file of predictions holds none, or a picture is not where it was.
    """
    samples = mmengine.load(predictions)[:COUNT]
    if not samples or not {'pred_instances', 'pred_sem_seg'} & samples[0].keys():
        raise ValueError(f"'{predictions}' holds no detections and no segmentations")
    colours = usual_colours(len(classes))
    label_colours = palette or colours
    columns = min(6, len(samples))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(PANEL * columns, PANEL * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis('off')
    drawn_labels = set()
    for axes, sample in zip(panels, samples, strict=False):
        if not Path(sample['img_path']).is_file():
            raise ValueError(f"picture '{sample['img_path']}' of '{predictions}' does not exist")
        picture = cv2.imread(sample['img_path'])[..., ::-1]
        if 'pred_sem_seg' in sample:
            labels = sample['pred_sem_seg']['data'][0].numpy()  # (1, H, W) → (H, W)
            drawn_labels.update(np.unique(labels).tolist())
            axes.imshow(draw_labels(picture, labels, label_colours))
        else:
            objects = objects_of(sample['pred_instances'], classes, MIN_SCORE)
            axes.imshow(draw_objects(picture, objects, colours))
    if drawn_labels:
        _add_legend(figure, [(classes[i], label_colours[i]) for i in sorted(drawn_labels)])
    figure.savefig(path, dpi=100)


def _add_legend(figure: Figure, entries: Sequence[tuple[str, Colour]]) -> None:
    """Names with their colours below the panels; the figure grows by the legend's height."""
    columns = max(1, int(figure.get_figwidth() / LEGEND_WIDTH))
    patches = [
        Patch(facecolor=np.divide(colour, 255), edgecolor='grey', label=name)
        for name, colour in entries
    ]
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + rows * LEGEND_HEIGHT)
    figure.legend(handles=patches, loc='outside lower center', ncols=columns, fontsize=LEGEND_FONT)


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
