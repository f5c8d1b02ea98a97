"""What a detector looks at: class activation maps of its neck."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ..attention.layers import Layer
from ..attention.maps import ActivationMaps, View
from .matching import MIN_SCORE


class DetectorMaps(ActivationMaps):
    """EigenCAM, which needs no score: a detector has one for each object."""

    text = (
        'EigenCAM shows what the maps mostly respond to, of any class. The boxes are the objects '
        f'found with a score of at least {MIN_SCORE}.'
    )

    def default_layers(self, known: Mapping[str, Layer]) -> Sequence[str]:
        return [name for name in known if name[0] == 'p'] or [*known]

    def look(self, index: int) -> View:
        subject = self.subject
        sample = subject.predict(index)
        found = sample.pred_instances
        found = found[found.scores >= MIN_SCORE]
        boxes = found.bboxes.numpy() * np.tile(sample.scale_factor, 2)
        colours = [subject.colours[label] for label in found.labels.tolist()]

        def draw(picture: np.ndarray) -> np.ndarray:
            picture = picture.copy()
            line = max(1, round(max(picture.shape) / 250))
            for (x1, y1, x2, y2), colour in zip(boxes.round().astype(int), colours, strict=True):
                cv2.rectangle(picture, (x1, y1), (x2, y2), colour, line)
            return picture

        counts = np.bincount(found.labels.numpy(), minlength=len(subject.classes))
        names = [f'{n} × {subject.classes[i]}' for i, n in enumerate(counts) if n]
        title = f'{subject.name(index)}: {", ".join(names) or "nothing found"}'
        return View(subject.shown(subject.inputs(index)), title, draw=draw)
