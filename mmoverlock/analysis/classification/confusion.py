"""Which classes a classifier takes for which."""

from ..confusion import confusion_section
from ..measures.confusion import confusion_matrix
from ..section import Section
from .base import ClassifierAnalysis


class Confusion(ClassifierAnalysis):
    """``confusion_matrix.npy``, counts (C, C) with a row for each true class, and ``.png``."""

    title = 'Confusion'

    def analyze(self) -> Section:
        results, names = self.results, self.results.names
        matrix = confusion_matrix(results.labels, results.predicted, len(names))
        facts = {'images': len(results), 'wrong': int(matrix.sum() - matrix.trace())}
        return confusion_section(matrix, names, 'images', self.folder, facts)
