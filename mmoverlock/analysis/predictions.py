"""A sheet of pictures with the boxes and masks that a detector found in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import mmengine
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pycocotools import mask as coco_mask


def draw_predictions(
    predictions: str | Path,
    classes: Sequence[str],
    path: str | Path,
    count: int = 12,
    min_score: float = 0.5,
) -> None:
    """Draw the first pictures of a test run with what was found in them.

    Args:
        predictions: File written by ``tools/test.py --out``.
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
    figure = Figure(figsize=(2.4 * columns, 2.4 * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis('off')
    for axes, sample in zip(panels, samples, strict=False):
        if not Path(sample['img_path']).is_file():
            raise ValueError(f"picture '{sample['img_path']}' of '{predictions}' does not exist")
        picture = cv2.imread(sample['img_path'])[..., ::-1]
        axes.imshow(picture)
        found = sample['pred_instances']
        for i, score in enumerate(found['scores'].tolist()):
            if score >= min_score:
                label = int(found['labels'][i])
                mask = found['masks'][i] if 'masks' in found else None
                text = f'{classes[label]} {score:.2f}'
                _draw(axes, found['bboxes'][i].tolist(), mask, label, text)
        height, width = picture.shape[:2]
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    figure.savefig(path, dpi=100)


def _draw(axes, box: list[float], mask: dict | None, label: int, text: str) -> None:
    """Add a box (x1, y1, x2, y2 in pixels), its run-length encoded mask and a caption."""
    colour = colormaps['tab10'](label % 10)
    x1, y1, x2, y2 = box
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=colour, linewidth=1.5))
    if mask is not None:
        inside = coco_mask.decode(mask)
        layer = inside[..., None] * [*colour[:3], 0.45]
        axes.imshow(layer)
        axes.contour(inside, levels=[0.5], colors='white', linewidths=0.8)
    caption = dict(facecolor=colour, edgecolor='none', pad=1)
    top = max(y1, 12)  # inside the picture
    axes.text(x1, top, text, fontsize=7, color='white', va='bottom', bbox=caption, clip_on=True)
