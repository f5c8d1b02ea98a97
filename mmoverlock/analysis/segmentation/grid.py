"""Images with their labels, predictions and errors side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmoverlock.visualization.contact_sheet import IGNORED, Panel, draw_sheet

from ..measures.label_maps import IGNORED as UNLABELLED
from ..subject import Subject
from .painting import error_marks, painted, pale


@dataclass
class Seen:
    """An image with its score; of those that may be drawn, the labels (H, W) too."""

    score: float
    index: int
    prediction: np.ndarray
    truth: np.ndarray | None


def draw_seen(subject: Subject, images: Sequence[Seen], what: str) -> np.ndarray:
    """Draw a row for each image, and a legend of the classes below, (H, W, 3) uint8 in RGB.

    Args:
        subject: What is analysed.
        images: With their scores; at least one.
        what: Name of the score.
    """
    rows = [_panels(subject, one, what) for one in images]
    panels = [panel for row in rows for panel in row]
    return draw_sheet(panels, subject.classes, subject.colours, len(rows[0]))


def _panels(subject: Subject, one: Seen, what: str) -> list[Panel]:
    picture = np.ascontiguousarray(subject.picture(one.index))
    caption = f'{what} {one.score:.3f}'
    first = Panel(picture, subject.name(one.index), caption)
    grey = pale(picture)
    predicted = Panel(grey, caption='prediction', labels=one.prediction)
    if one.truth is None:
        return [first, predicted]
    unknown = one.truth == UNLABELLED
    truth = np.where(unknown, IGNORED, one.truth.astype(np.int32))
    errors = Panel(painted(picture, error_marks(one.prediction, one.truth)), caption='errors')
    return [first, Panel(grey, caption='truth', labels=truth), predicted, errors]
