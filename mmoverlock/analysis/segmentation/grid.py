"""Pictures with their labels, predictions and errors side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from PIL import Image, ImageDraw

from mmoverlock.visualization.contact_sheet import GAP, IGNORED, OUTSIDE, Panel, draw_panel
from mmoverlock.visualization.drawing import INK, PAPER, font_for, shortened

from ..measures.label_maps import IGNORED as UNLABELLED
from ..subject import Subject
from .painting import painted, pale

WIDTH = 320  # of a panel, in pixels
LEGEND = 48  # classes at most
_SHAPES = (0.5, 1.5)  # least and greatest height of a panel, as a multiple of its width


@dataclass
class Seen:
    """A picture with its score; of those that may be drawn, the labels (H, W) too."""

    score: float
    index: int
    prediction: np.ndarray
    truth: np.ndarray | None


def draw_grid(subject: Subject, pictures: Sequence[Seen], what: str) -> np.ndarray:
    """Draw a row for each picture, and a legend of the classes below.

    Args:
        subject: What is analysed.
        pictures: With their scores; at least one.
        what: Name of the score.

    Returns:
        (H, W, 3) uint8 in RGB.
    """
    shape = median(one.prediction.shape[0] / one.prediction.shape[1] for one in pictures)
    room = WIDTH, round(WIDTH * min(max(shape, _SHAPES[0]), _SHAPES[1]))
    font = font_for(WIDTH)
    line = round(1.7 * font.size)
    labelled = pictures[0].truth is not None
    columns = 4 if labelled else 2
    width = columns * (WIDTH + GAP) + GAP
    step = room[1] + line + GAP
    legend = _legend(subject, pictures)
    longest = max(font.getlength(name) for _, name in legend)
    entry = round(min(longest + 3 * font.size, width - GAP))
    in_a_row = max(1, (width - GAP) // entry)
    height = GAP + len(pictures) * step
    rows = -(-len(legend) // in_a_row)
    canvas = Image.new('RGB', (width, height + rows * line + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    for row, one in enumerate(pictures):
        y = GAP + row * step
        name = f'{what} {one.score:.1%}   {subject.name(one.index)}'
        captions = [name, 'truth', 'prediction', 'errors'] if labelled else [name, 'prediction']
        panels = zip(captions, _panels(subject, one), strict=True)
        for column, (caption, (panel, colours)) in enumerate(panels):
            x = GAP + column * (WIDTH + GAP)
            text = shortened(caption, font, WIDTH)
            font.draw(draw, (x, y + line / 2), text, INK)
            drawn = draw_panel(panel, room, colours)
            canvas.paste(Image.fromarray(drawn), (x, y + line))
    for place, (label, name) in enumerate(legend):
        row, column = divmod(place, in_a_row)
        x, y = GAP + column * entry, height + row * line
        if label is not None:
            square = (x, y + 2, x + font.size, y + 2 + font.size)
            draw.rectangle(square, subject.colours[label], 'grey')
        text = shortened(name, font, entry - 2 * font.size)
        font.draw(draw, (x + 1.5 * font.size, y + 2 + font.size / 2), text, INK)
    return np.asarray(canvas)


def _panels(subject: Subject, one: Seen) -> list[tuple[Panel, Sequence]]:
    """The panels of a row, each with the colours of its labels."""
    picture = np.ascontiguousarray(subject.picture(one.index))
    grey = pale(picture)
    predicted = Panel(grey, labels=one.prediction), subject.colours
    if one.truth is None:
        return [(Panel(picture), ()), predicted]
    unknown = one.truth == UNLABELLED
    truth = np.where(unknown, IGNORED, one.truth.astype(np.int32))
    errors = painted(picture, one.truth != one.prediction)
    marks = np.where(unknown, IGNORED, OUTSIDE)
    return [
        (Panel(picture), ()),
        (Panel(grey, labels=truth), subject.colours),
        predicted,
        (Panel(errors, labels=marks), ()),
    ]


def _legend(subject: Subject, pictures: Sequence[Seen]) -> list[tuple[int | None, str]]:
    """Labels and names of what the pictures show, the most frequent first."""
    counts = np.zeros(256, np.int64)
    for one in pictures:
        for labels in (one.truth, one.prediction):
            if labels is not None:
                counts += np.bincount(labels.ravel(), minlength=256)
    counts[UNLABELLED] = 0
    order = [int(i) for i in np.argsort(-counts, kind='stable') if counts[i]]
    legend: list[tuple[int | None, str]] = [(i, subject.classes[i]) for i in order]
    if legend[LEGEND:]:
        legend[LEGEND - 1 :] = [(None, f'... and {len(legend) - LEGEND + 1} more classes')]
    return legend
