"""How good a classifier is: accuracy, and the figures of each class."""

from statistics import median
from typing import Any

import numpy as np

from ..benchmark.counting import count
from ..benchmark.profiling import machine
from ..figures.class_bars import draw_classes
from ..files import save_json
from ..measures.class_metrics import accuracies, class_rows, macro
from ..section import Picture, Section, Table
from .base import ClassifierAnalysis

FILE, CHART = 'eval_metrics.json', 'eval_classes.png'
TITLES = dict(
    top1='top-1', top5='top-5', balanced_accuracy='balanced accuracy', macro_f1='macro F1',
    images='images', parameters='parameters', multiply_adds='multiply-adds',
    images_per_second='images/s', batch_size='batch size', f1='F1', support='images',
)  # fmt: skip


class Evaluation(ClassifierAnalysis):
    """Accuracy, the figures of each class, size and speed: ``eval_metrics.json``."""

    title = 'Evaluation'
    needs = ('sklearn.metrics',)
    needs_labels = False

    def analyze(self) -> Section:
        quality, rows = self._quality()
        metrics = {**quality, **self._cost()}
        classes = [
            {'class': name, **row} for name, row in zip(self.results.names, rows, strict=True)
        ]
        save_json(self.folder / FILE, dict(metrics, classes=classes))
        table = Table(
            'Classes',
            [TITLES.get(key, key) for key in classes[0]],
            [[*row.values()] for row in classes],
            'Predicted counts the images that are taken for the class.',
        )
        pictures, text = [], [self._about_speed()]
        if self.results.labelled:
            f1 = {'F1': [row['f1'] for row in rows]}
            note = draw_classes(f1, self.results.names, 'F1', self.folder / CHART)
            pictures.append(Picture('F1 of the classes', CHART, note))
            empty = [row['class'] for row in classes if not row['support']]
            if empty:
                text.append(
                    f'Classes without an image in this set: {len(empty)} of {len(classes)}. They '
                    'do not count in balanced accuracy and macro F1.'
                )
        else:
            text.append('The test set has no labels: how often the model is right is unknown.')
        facts = {TITLES[key]: value for key, value in metrics.items() if value is not None}
        return Section(self.title, facts, text, [table], pictures, [FILE])

    def _quality(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Figures of the whole set, and of each class."""
        results, number = self.results, len(self.results.names)
        if not results.labelled:
            counts = np.bincount(results.predicted, minlength=number)
            metrics = dict.fromkeys(('top1', 'top5', 'balanced_accuracy', 'macro_f1'))
            return metrics, [dict(predicted=int(one)) for one in counts]
        rows = class_rows(results.labels, results.predicted, number)
        metrics = accuracies(results.scores, results.labels)
        return dict(
            metrics, balanced_accuracy=macro(rows, 'recall'), macro_f1=macro(rows, 'f1')
        ), rows

    def _cost(self) -> dict[str, Any]:
        subject = self.subject
        parameters, multiply_adds = count(subject.model, subject.batch(subject.indices[0]))
        speeds = subject.speeds[1:] or subject.speeds  # the first batch warms up
        return dict(
            images=len(self.results),
            parameters=parameters,
            multiply_adds=multiply_adds,
            images_per_second=median(speeds),
            batch_size=subject.cfg.test_dataloader.get('batch_size', 1),
        )

    def _about_speed(self) -> str:
        return (
            'Parameters and multiply-adds (of one image) are those of the model as it is used: '
            'large-kernel branches are merged, parts for training alone left out. The speed is the '
            'median over the batches of the test set, from loaded images to scores, on '
            f'{machine(self.subject.device)}.'
        )
