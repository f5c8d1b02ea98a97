"""Which classes a classifier takes for which."""

import io

import numpy as np

from mmoverlock.utils.files import write_whole

from ..measures.confusion import confusion_matrix, draw_confusion, worst_pairs
from ..section import Picture, Section, Table
from .base import ClassifierAnalysis

LISTED = 50  # pairs


class Confusion(ClassifierAnalysis):
    """``confusion_matrix.npy``, counts (C, C) with a row for each true class, and ``.png``."""

    title = 'Confusion'

    def analyze(self) -> Section:
        results, names = self.results, self.results.names
        matrix = confusion_matrix(results.labels, results.predicted, len(names))
        data = io.BytesIO()
        np.save(data, matrix)
        write_whole(self.folder / 'confusion_matrix.npy', data.getvalue())
        note = draw_confusion(matrix, names, self.folder / 'confusion_matrix.png')
        pairs = worst_pairs(matrix, LISTED)
        facts = {'wrong': int(matrix.sum() - matrix.trace()), 'images': len(results)}
        if pairs:
            worst = pairs[0]
            facts['most frequent confusion'] = (
                f'{names[worst.true]} taken for {names[worst.predicted]}: '
                f'{worst.count} of {matrix[worst.true].sum()}'
            )
        table = Table(
            'Worst-confused pairs',
            ['true class', 'predicted class', 'images', 'share'],
            [[names[one.true], names[one.predicted], one.count, one.share] for one in pairs],
            'The share is that of the images of the true class.',
        )
        return Section(
            self.title,
            facts,
            [] if pairs else ['No image is classified wrongly.'],
            [table] if pairs else [],
            [Picture('Confusion matrix', 'confusion_matrix.png', note)],
            ['confusion_matrix.npy'],
        )
