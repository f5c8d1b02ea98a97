"""From an exported network's outputs to results in pixels of the picture."""

from typing import Any

import numpy as np

from mmoverlock.visualization.drawing import usual_colours

from .masks import pasted, resized, run_lengths
from .preprocess import Prepared, prepared
from .results import Classification, Detection, Segmentation
from .session import Session


class Task:
    """Predict by a session; with :mod:`.results` it is a :class:`.pictures.Task`."""

    def __init__(self, session: Session, topk: int, score_thr: float):
        self.session, self.spec = session, session.spec
        self.topk, self.score_thr = topk, score_thr
        self.classes = list(self.spec.classes)
        self.palette = list(self.spec.palette) or usual_colours(len(self.classes))
        self.image_bits, self.turns = self.spec.image_bits, self.spec.turns

    def outputs(self, picture: np.ndarray) -> tuple[dict[str, np.ndarray], Prepared]:
        """Of a picture (H, W, 3) in BGR."""
        ready = prepared(picture, self.spec.channels, self.spec.before)
        return self.session(ready.image), ready


class Classifier(Task, Classification):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        outputs, _ = self.outputs(picture)
        return self.result(outputs['scores'].astype(np.float32))


class Detector(Task, Detection):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        outputs, ready = self.outputs(picture)
        size = picture.shape[:2]
        scores, labels = outputs['scores'], outputs['labels']
        chosen = np.flatnonzero((scores >= self.score_thr) & (labels >= 0))
        objects = []
        for i in chosen[np.argsort(-scores[chosen], kind='stable')].tolist():
            label, box = int(labels[i]), in_picture(outputs['boxes'][i], ready)
            one = dict(name=self.classes[label], label=label, score=float(scores[i]))
            one['box'] = box.tolist()
            if 'masks' in outputs:
                mask = pasted(outputs['masks'][i], box, size, self.spec.mask_thr)
                one['mask'] = run_lengths(mask)
            objects.append(one)
        return dict(objects=objects)


class Segmentor(Task, Segmentation):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        outputs, ready = self.outputs(picture)
        rows, columns = ready.size
        size = picture.shape[:2]
        if 'logits' in outputs:
            logits = outputs['logits'][:, :rows, :columns]
            return self.result(best_label(logits, size, self.spec.align_corners))
        labels = outputs['labels'][:rows, :columns]  # of each pixel the nearest
        sides = zip(labels.shape, size, strict=True)
        y, x = (((np.arange(new) + 0.5) * old / new).astype(int) for old, new in sides)
        return self.result(labels[y[:, None], x])


def in_picture(box: np.ndarray, ready: Prepared) -> np.ndarray:
    """A box x1, y1, x2, y2 of the network's input, in pixels of the picture."""
    (top, left), (tall, wide) = ready.corner, ready.scale
    corner, scale = np.float32([left, top] * 2), np.float32([wide, tall] * 2)
    return (box.astype(np.float32) + corner) / scale


def best_label(logits: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """The best class of each pixel of a picture of `size`, (H, W) int64.

    Class by class, so that the memory does not grow with their number.

    Args:
        logits: (classes, h, w).
        size: Height and width of the picture.
        align_corners: See :class:`.spec.Spec`.
    """
    labels, best = np.zeros(size, np.int64), np.full(size, -np.inf, np.float32)
    for label, one in enumerate(logits):
        values = resized(np.ascontiguousarray(one, np.float32), size, align_corners)
        better = values > best
        labels[better], best[better] = label, values[better]
    return labels


TASKS = {'classification': Classifier, 'detection': Detector, 'segmentation': Segmentor}
