"""Which classes a detector takes for which, for nothing, or sees where nothing is."""

from pathlib import Path

import numpy as np

from ..analysis import Options
from ..confusion import confusion_section
from ..section import Section, Table
from ..subject import Subject
from .labelled import Labelled
from .matching import MIN_IOU, MIN_SCORE, match
from .objects import Found, Truth
from .sample import Sample

BACKGROUND = 'background'


def count_pairs(
    found: Found, truth: Truth, number_of_classes: int, min_score: float = MIN_SCORE
) -> np.ndarray:
    """The confusion matrix of a picture: (C + 1, C + 1) int64, the last class is the background.

    Rows are true classes, columns are predicted ones: a missed object is in the last column, a
    detection of nothing in the last row. Boxes are matched whatever their classes
    (:func:`.matching.match`); crowds, and detections in them, are left out.
    """
    matrix = np.zeros((number_of_classes + 1,) * 2, np.int64)
    matches = match(found, truth, min_score=min_score, any_class=True)
    true = truth.labels[matches.truth[matches.hits]]
    np.add.at(matrix, (true, found.labels[matches.hits]), 1)
    np.add.at(matrix, (truth.labels[matches.missed(truth)], -1), 1)
    np.add.at(matrix, (-1, found.labels[matches.false]), 1)
    return matrix


class Confusion(Labelled):
    """The confusion matrix with a background: ``confusion_matrix.npy`` and ``.png``."""

    title = 'Confusion'

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.matrix = np.zeros((len(subject.classes) + 1,) * 2, np.int64)

    def compare(self, sample: Sample) -> None:
        self.matrix += count_pairs(sample.found, sample.truth, len(self.subject.classes))

    def conclude(self) -> Section:
        matrix, names = self.matrix, [*self.subject.classes, BACKGROUND]
        inner = matrix[:-1, :-1]
        right = int(inner.trace())
        facts = {
            'objects': int(matrix[:-1].sum()),
            'found with the right class': right,
            'found with a wrong class': int(inner.sum()) - right,
            'missed': int(matrix[:-1, -1].sum()),
            'detections of nothing': int(matrix[-1].sum()),
        }
        text = (
            f'Detections with a score of at least {MIN_SCORE:g} are matched in the order of their '
            f'scores, each with the free object of the largest IoU, from {MIN_IOU:g} on, whatever '
            'its class. A second detection of an object counts as one of nothing. The last row of '
            'the matrix has detections where nothing is, the last column missed objects.'
        )
        return confusion_section(
            matrix, names, 'objects', self.folder, facts, [text], [_classes(matrix, names)],
            background=True,
        )  # fmt: skip


def _classes(matrix: np.ndarray, names: list[str]) -> Table:
    columns = ['class', 'objects', 'right class', 'wrong class', 'missed', 'detections of nothing']
    right, objects, missed = matrix.diagonal(), matrix.sum(1), matrix[:, -1]
    figures = np.stack([objects, right, objects - right - missed, missed, matrix[-1]], 1)[:-1]
    rows = [[name, *row] for name, row in zip(names[:-1], figures.tolist(), strict=True)]
    return Table('Classes', columns, rows)
