"""What a test run predicted: a grid of its first pictures with objects or labels drawn in them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmoverlock.utils.pickles import read_predictions

from .drawing import INK, PAPER, Colour, draw_labels, draw_objects, shortened, usual_colours
from .fonts import Font

PANEL, GAP = 360, 8  # pixels
COUNT, COLUMNS = 12, 6  # pictures at most, in all and in a row
MIN_SCORE = 0.5  # of what is drawn
ENTRY, LINE = 180, 35  # pixels of an entry of the legend
FONT = 20


def draw_predictions(
    predictions: str | Path,
    classes: Sequence[str],
    path: str | Path,
    palette: Sequence[Colour] | None = None,
    read: Callable[[Path], np.ndarray] | None = None,
) -> None:
    """Draw what a test run of mmdet or mmseg found in its first pictures, to the picture `path`.

    A detector's objects have their names beside them; a segmentor's labels have a legend.

    Args:
        predictions: The pickle file of the test run; no code from it is run.
        classes: Names by label.
        path: Where to write the drawing.
        palette: Colours (RGB, 0 to 255) of a segmentor's labels; by default the usual ones.
        read: Returns the picture of a file, (H, W, 3) uint8 in BGR; by default OpenCV's.

    Raises:
        ValueError: if the file of predictions cannot be read or holds none, or a picture is not
            where it was.
    """
    samples = read_predictions(predictions)[:COUNT]
    if not samples or not {'pred_instances', 'pred_sem_seg'} & samples[0].keys():
        raise ValueError(f"'{predictions}' holds no detections and no segmentations")
    colours = usual_colours(len(classes))
    label_colours = palette or colours
    panels, drawn_labels = [], set()
    for sample in samples:
        if not Path(sample['img_path']).is_file():
            raise ValueError(f"picture '{sample['img_path']}' of '{predictions}' does not exist")
        picture = (read or _read)(Path(sample['img_path']))[..., ::-1]
        if 'pred_sem_seg' in sample:
            labels = sample['pred_sem_seg']['data'][0].numpy()  # (1, H, W) → (H, W)
            drawn_labels.update(np.unique(labels).tolist())
            panels.append(draw_labels(picture, labels, label_colours))
        else:
            objects = objects_of(sample['pred_instances'], classes, MIN_SCORE)
            panels.append(draw_objects(picture, objects, colours))
    known = [label for label in sorted(drawn_labels) if label < len(classes)]
    Image.fromarray(_grid(panels, [(classes[i], label_colours[i]) for i in known])).save(path)


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"picture '{path}' is damaged, or no image")
    return picture


def _grid(panels: Sequence[np.ndarray], legend: Sequence[tuple[str, Colour]]) -> np.ndarray:
    """Pictures in rows, each in the middle of its place, and names with colours below."""
    columns = min(COLUMNS, len(panels))
    rows, step = -(-len(panels) // columns), PANEL + GAP
    width, height = columns * step + GAP, rows * step + GAP
    in_a_row = max(1, width // ENTRY)
    full = height + LINE * -(-len(legend) // in_a_row)
    canvas = Image.new('RGB', (width, full), PAPER)
    for index, panel in enumerate(panels):
        image = Image.fromarray(panel)
        scale = PANEL / max(image.size)
        image = image.resize([max(1, round(scale * side)) for side in image.size])
        x, y = (GAP + step * place + PANEL // 2 for place in (index % columns, index // columns))
        canvas.paste(image, (x - image.width // 2, y - image.height // 2))
    draw, font = ImageDraw.Draw(canvas), Font(FONT)
    for index, (name, colour) in enumerate(legend):
        x, y = GAP + ENTRY * (index % in_a_row), height + LINE * (index // in_a_row)
        draw.rectangle((x, y, x + FONT, y + FONT), tuple(map(int, colour)), 'grey')
        text = shortened(name, font, ENTRY - 2 * FONT - GAP)
        font.draw(draw, (x + 1.5 * FONT, y + FONT / 2), text, INK)
    return np.asarray(canvas)


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
