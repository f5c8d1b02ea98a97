"""Which classes a segmentor takes for which others."""

from pathlib import Path

import numpy as np

from ..analysis import NO_LABELS, Analysis, Options
from ..confusion import confusion_section, pairs_table
from ..measures.confusion import worst_pairs
from ..section import Section
from ..subject import Subject
from .sample import Sample

PAIRS = 20


class Confusion(Analysis):
    """Pixels by true and predicted class: ``confusion_matrix.npy`` and ``.png``."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.matrix = np.zeros((len(subject.classes),) * 2, np.int64)

    def see(self, sample: Sample) -> None:
        self.matrix += sample.confusion

    def finish(self) -> Section:
        if not self.matrix.any():
            return Section('Confusion', text=[NO_LABELS])
        names, matrix = self.subject.classes, self.matrix
        facts = {'pixels': int(matrix.sum()), 'wrong': int(matrix.sum() - matrix.trace())}
        pairs = worst_pairs(matrix, PAIRS, by_share=True)
        mostly = pairs_table('Pairs with the largest share of a class', pairs, names, 'pixels')
        tables = [mostly] if pairs else []
        return confusion_section(matrix, names, 'pixels', self.folder, facts, tables=tables)
