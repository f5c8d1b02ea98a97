"""The pictures that a segmentor does worst and best."""

from pathlib import Path

import numpy as np

from ..analysis import Analysis, Options
from ..figures.style import save_picture
from ..measures.label_maps import picture_score
from ..section import Picture, Section, Table
from ..subject import Subject
from .grid import Seen, draw_seen
from .sample import Sample

WORST, BEST = 6, 3  # pictures of each kind
LISTED = 30
FILE = 'predictions_grid.png'


class Predictions(Analysis):
    """The worst and best pictures, with truth, prediction and errors side by side.

    Without labels, those with the lowest and highest mean confidence.
    """

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.worst: list[Seen] = []
        self.best: list[Seen] = []
        self.scores: list[tuple[float, int]] = []
        self.labelled = False

    def see(self, sample: Sample) -> None:
        if sample.truth is not None and not self.labelled:
            self.labelled = True
            self.worst, self.best, self.scores = [], [], []
        if sample.truth is not None:
            score = picture_score(sample.confusion)
        elif not self.labelled:
            score = float(sample.probabilities.max(0).mean())
        else:
            return
        if not np.isnan(score):
            seen = Seen(score, sample.index, sample.prediction, sample.truth)
            self.worst = sorted([*self.worst, seen], key=lambda one: one.score)[:WORST]
            self.best = sorted([*self.best, seen], key=lambda one: -one.score)[:BEST]
            self.scores.append((score, sample.index))

    def finish(self) -> Section:
        if not self.scores:
            return Section('Predictions', text=['No image has a labelled pixel.'])
        what = 'mIoU' if self.labelled else 'mean confidence'
        drawn = {one.index for one in self.worst}
        rest = [one for one in self.best if one.index not in drawn]
        drawing = draw_seen(self.subject, [*self.worst, *rest], what)
        save_picture(drawing, self.folder / FILE)
        rows = [[self.subject.name(index), score] for score, index in sorted(self.scores)[:LISTED]]
        table = Table(f'Lowest {what}', ['file', what], rows)
        if self.labelled:
            text = (
                'The mIoU of an image is the mean over the classes that its labels have. In the '
                'map of errors, wrong pixels are red, and grey those without a label.'
            )
        else:
            text = 'The test set has no labels: images are in the order of their confidence.'
        title = f'The worst {len(self.worst)} images' + (f', the best {len(rest)}' if rest else '')
        return Section('Predictions', {}, [text], [table], [Picture(title, FILE)])
