"""Which classes a segmentor takes for which others."""

import io
from pathlib import Path

import numpy as np

from mmoverlock.utils.files import write_whole

from ..analysis import Analysis, Options
from ..figures.confusion_matrix import draw_confusion
from ..measures.label_maps import worst_pairs
from ..section import Cell, Picture, Section, Table
from ..subject import Subject
from .sample import NO_TRUTH, Sample

PAIRS = 20  # in a table
COUNTS, DRAWING = 'confusion_matrix.npy', 'confusion_matrix.png'


class Confusion(Analysis):
    """Pixels by true and predicted class: ``confusion_matrix.npy`` and ``.png``."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.matrix = np.zeros((len(subject.classes),) * 2, np.int64)

    def see(self, sample: Sample) -> None:
        self.matrix += sample.confusion

    def finish(self) -> Section:
        if not self.matrix.any():
            return Section('Confusion', text=[NO_TRUTH])
        names = self.subject.classes
        data = io.BytesIO()
        np.save(data, self.matrix)
        write_whole(self.folder / COUNTS, data.getvalue())
        draw_confusion(self.matrix, names, self.folder / DRAWING)
        often, mostly = (self._pairs(by_share) for by_share in (False, True))
        facts = {'confused most often': often[0][0]} if often else {}
        columns = ['true class → predicted class', 'pixels', 'share of the true class']
        picture = Picture(
            'Confusion matrix', DRAWING,
            'Rows are true classes, and each is divided by its number of pixels; grey rows have '
            'none. The colours stretch small shares.',
        )  # fmt: skip
        tables = [
            Table('Pairs with the most confused pixels', columns, often),
            Table('Pairs with the largest share of a class', columns, mostly),
        ]
        return Section('Confusion', facts, tables=tables, pictures=[picture], files=[COUNTS])

    def _pairs(self, by_share: bool) -> list[list[Cell]]:
        names = self.subject.classes
        pairs = worst_pairs(self.matrix, PAIRS, by_share)
        return [[f'{names[a]} → {names[b]}', count, share] for a, b, count, share in pairs]
