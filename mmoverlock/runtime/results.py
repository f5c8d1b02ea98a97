"""What a model of each task says about a picture, how it is drawn, and summed up over a video."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmoverlock.visualization.drawing import (
    BAR,
    Colour,
    draw_bars,
    draw_objects,
    paint,
    usual_colours,
)

from .calibrators import Calibrator

OPACITY = 0.6  # of a segmentor's colours over the picture
LISTED = 8  # classes below the picture


def check_options(topk: int, score_thr: float) -> None:
    """Raise ValueError unless they are allowed."""
    if topk < 1:
        raise ValueError(f'topk={topk}: at least 1 is needed')
    if not 0 <= score_thr <= 1:
        raise ValueError(f'score_thr={score_thr}: a score from 0 to 1 is needed')


class Classification:
    """Results of a classifier with `classes`: names and scores, bars below the picture."""

    classes: Sequence[str]
    topk: int
    calibrator: Calibrator | None = None  # of the scores

    def result(self, scores: np.ndarray) -> dict[str, Any]:
        """From the scores (classes,), probabilities."""
        if self.calibrator:
            scores = self.calibrator(scores[None])[0]
        names = dict(enumerate(self.classes))  # the model may not tell how many there are
        best = np.argsort(-scores, kind='stable')[: self.topk].tolist()
        top = [dict(label=i, name=names.get(i, f'class {i}'), score=float(scores[i])) for i in best]
        return dict(top=top)

    def draw(self, picture: np.ndarray, result: dict[str, Any], frame: bool = False) -> np.ndarray:
        return draw_bars(picture, [(one['name'], one['score'], BAR) for one in result['top']])

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        best = result['top'][0]
        return {(best['label'], best['name']): 1.0}


class Detection:
    """Results of a detector with `classes`: objects with boxes and perhaps masks."""

    classes: Sequence[str]

    def draw(self, picture: np.ndarray, result: dict[str, Any], frame: bool = False) -> np.ndarray:
        return draw_objects(picture, result['objects'], usual_colours(len(self.classes)))

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        return {(one['label'], one['name']): 1.0 for one in result['objects']}


class Segmentation:
    """Results of a segmentor with `classes`, drawn in the colours of `palette`."""

    classes: Sequence[str]
    palette: Sequence[Colour]

    def result(self, labels: np.ndarray) -> dict[str, Any]:
        """From the labels (H, W) of a picture."""
        found, counts = np.unique(labels, return_counts=True)
        classes = [
            dict(label=label, name=self.classes[label], share=count / labels.size)
            for label, count in zip(found.tolist(), counts.tolist(), strict=True)
        ]
        return dict(labels=labels, classes=sorted(classes, key=lambda one: -one['share']))

    def draw(self, picture: np.ndarray, result: dict[str, Any], frame: bool = False) -> np.ndarray:
        drawn, bars = picture.copy(), []
        for one in result['classes']:
            colour = self.palette[one['label']]
            paint(drawn, result['labels'] == one['label'], colour, OPACITY)
            bars.append((one['name'], one['share'], colour))
        rows = min(LISTED, len(self.classes)) if frame else 0
        return draw_bars(drawn, bars[:LISTED], rows)

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        return {(one['label'], one['name']): one['share'] for one in result['classes']}
