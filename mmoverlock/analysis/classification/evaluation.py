"""How good a classifier is: accuracy, and the figures of each class."""

from pathlib import Path

import numpy as np
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from mmoverlock.utils.files import write_whole
from mmoverlock.utils.json import dumps

from ..analysis import Analysis, Options
from ..section import Section, Table
from ..subject import Subject
from .sample import Sample


class Evaluation(Analysis):
    """Top-1 and top-5 accuracy; precision, recall and F1 of each class: ``eval_metrics.json``."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.scores: list[np.ndarray] = []
        self.labels: list[int | None] = []

    def see(self, sample: Sample) -> None:
        self.scores.append(sample.scores)
        self.labels.append(sample.label)

    def finish(self) -> Section:
        scores, labels = np.stack(self.scores), np.array(self.labels)
        names = self.subject.classes
        facts = {
            f'top-{k}': float(top_k_accuracy_score(labels, scores, k=k, labels=range(len(names))))
            for k in (1, 5)
            if k < len(names)
        }
        columns = precision_recall_fscore_support(
            labels, scores.argmax(1), labels=range(len(names)), zero_division=0
        )
        rows = list(zip(names, *(column.tolist() for column in columns), strict=True))
        table = Table('Classes', ['class', 'precision', 'recall', 'F1', 'images'], rows)
        write_whole(self.folder / 'eval_metrics.json', dumps(facts, indent=1).encode())
        return Section('Evaluation', facts, tables=[table], files=['eval_metrics.json'])
