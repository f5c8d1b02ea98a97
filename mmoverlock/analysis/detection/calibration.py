"""Whether a detector's scores can be trusted."""

from pathlib import Path

import numpy as np

from ..analysis import Options
from ..files import save_arrays
from ..section import Picture, Section, Table
from ..subject import Subject
from .labelled import Labelled
from .matching import MIN_IOU, match
from .reliability import BINS, draw_reliability, reliability
from .sample import Sample


class Calibration(Labelled):
    """D-ECE and MCE of the scores: ``calibration_stats.npz`` and ``reliability.png``."""

    title = 'Calibration of scores'

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.scores, self.labels, self.right = (
            [np.zeros(0)],
            [np.zeros(0, int)],
            [np.zeros(0, bool)],
        )

    def compare(self, sample: Sample) -> None:
        matches = match(sample.found, sample.truth)
        counted = ~matches.ignored
        self.scores.append(sample.found.scores[counted])
        self.labels.append(sample.found.labels[counted])
        self.right.append(matches.hits[counted])

    def conclude(self) -> Section:
        scores, labels, right = map(np.concatenate, (self.scores, self.labels, self.right))
        if not scores.size:
            return Section(self.title, text=['Nothing was detected in any picture.'])
        whole = reliability(scores, right)
        draw_reliability(whole, self.folder / 'reliability.png')
        save_arrays(
            self.folder / 'calibration_stats.npz',
            dict(
                counts=whole.counts, mean_scores=whole.scores, precision=whole.precision,
                d_ece=whole.expected_error, mce=whole.largest_error,
                scores=scores.astype(np.float32), labels=labels, right=right,
                classes=self.subject.classes,
            ),
        )  # fmt: skip
        rows = []
        for label, name in enumerate(self.subject.classes):
            of_class = labels == label
            if of_class.any():
                one = reliability(scores[of_class], right[of_class])
                means = float(scores[of_class].mean()), float(right[of_class].mean())
                rows.append(
                    [name, int(of_class.sum()), *means, one.expected_error, one.largest_error]
                )
        columns = ['class', 'detections', 'mean score', 'precision', 'D-ECE', 'MCE']
        facts = {
            'D-ECE': whole.expected_error,
            'MCE': whole.largest_error,
            'detections': len(scores),
            'mean score': float(scores.mean()),
            'precision': float(right.mean()),
        }
        text = (
            f'A detection is right if it matches an object of its class with an IoU of at least '
            f'{MIN_IOU:g}. D-ECE is the mean difference between the score and the share of right '
            f'detections, in {BINS} bins of the score alone, not of place and size; MCE is the '
            'largest one. Detections that the model itself leaves out, by its score_thr, are not '
            'in it.'
        )
        note = 'Bars below the dashed line: the scores are too high; above it: too low.'
        return Section(
            self.title,
            facts,
            [text],
            [Table('Classes', columns, rows)],
            [Picture('Reliability', 'reliability.png', note)],
            ['calibration_stats.npz'],
        )
