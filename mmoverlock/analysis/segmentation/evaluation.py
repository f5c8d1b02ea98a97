"""How good a segmentor is: IoU, Dice and accuracy, of all and of each class."""

from pathlib import Path

import numpy as np

from ..analysis import NO_LABELS, Analysis, Options
from ..figures.class_bars import draw_classes
from ..files import save_json
from ..measures.label_maps import class_scores, mean_scores, picture_score
from ..section import Picture, Section, Table
from ..subject import Subject
from .sample import Sample

COLUMNS = dict(
    IoU='IoU', Dice='Dice', accuracy='accuracy', precision='precision', share='share of pixels',
    predicted='share predicted',
)  # fmt: skip
FILE, CHART = 'eval_metrics.json', 'eval_classes.png'


class Evaluation(Analysis):
    """The figures of mmseg's IoUMetric, and more of each class: ``eval_metrics.json``."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        classes = len(subject.classes)
        self.confusion = np.zeros((classes, classes), np.int64)
        self.predicted = np.zeros(classes, np.int64)
        self.scores: list[float] = []

    def see(self, sample: Sample) -> None:
        self.predicted += np.bincount(sample.prediction.ravel(), minlength=len(self.predicted))
        if sample.truth is not None:
            self.confusion += sample.confusion
            self.scores.append(picture_score(sample.confusion))

    def finish(self) -> Section:
        names = self.subject.classes
        if not self.confusion.any():
            return self._without_truth()
        facts = mean_scores(self.confusion)
        pictures = np.array(self.scores)[~np.isnan(self.scores)]
        facts['mIoU of images, median'] = float(np.median(pictures))
        facts['mIoU of images, worst tenth'] = float(np.quantile(pictures, 0.1))
        scores = class_scores(self.confusion)
        rows = [
            [name, *(float(scores[key][label]) for key in COLUMNS)]
            for label, name in enumerate(names)
        ]
        classes = [dict(zip(('class', *COLUMNS), row, strict=True)) for row in rows]
        save_json(self.folder / FILE, dict(facts, classes=classes))
        drawn = draw_classes({'IoU': scores['IoU']}, names, 'IoU', self.folder / CHART)
        note = (
            'Accuracy is the share of the true pixels of a class that are found, precision the '
            'share of those predicted that are right. A class that is neither in the labels nor '
            'predicted has no values, and does not count in means.'
        )
        return Section(
            'Evaluation',
            facts,
            ['All pixels of the test set count alike, as in mmseg; mIoU of images is the mean '
             'over the classes that an image has, for each image.'],
            [Table('Classes', ['class', *COLUMNS.values()], rows, note)],
            [Picture('IoU of the classes', CHART, drawn)],
            [FILE],
        )  # fmt: skip

    def _without_truth(self) -> Section:
        names, shares = self.subject.classes, self.predicted / self.predicted.sum()
        rows = [[name, float(share)] for name, share in zip(names, shares, strict=True)]
        classes = [{'class': name, 'predicted': share} for name, share in rows]
        save_json(self.folder / FILE, dict(classes=classes))
        table = Table('Classes', ['class', 'share predicted'], rows)
        return Section('Evaluation', {}, [NO_LABELS], [table], files=[FILE])
