"""Whether a detector's scores can be trusted."""

from pathlib import Path

import numpy as np

from ..analysis import Options
from ..calibration import DIAGRAM, NOTE, STATS, save_stats
from ..figures.reliability import draw_reliability
from ..measures.calibration import BINS, ReliabilityBins
from ..section import Picture, Section, Table
from ..subject import Subject
from .labelled import Labelled
from .matching import MIN_IOU, match
from .sample import Sample


class Calibration(Labelled):
    """D-ECE and MCE of the scores: ``calibration_stats.npz`` and ``reliability.png``."""

    title = 'Calibration'

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
            return Section(self.title, text=['Nothing was detected in any image.'])
        whole = ReliabilityBins()
        whole.add(scores, right)
        draw_reliability({'all detections': whole}, 'detections', self.folder / DIAGRAM, 'D-ECE')
        figures = whole.figures()
        save_stats(
            self.folder, dict(uncalibrated=whole), dict(uncalibrated=figures),
            scores=scores.astype(np.float32), labels=labels, right=right,
            classes=self.subject.classes,
        )  # fmt: skip
        rows = []
        for label, name in enumerate(self.subject.classes):
            of_class = labels == label
            if of_class.any():
                one = ReliabilityBins()
                one.add(scores[of_class], right[of_class])
                mean = float(scores[of_class].mean())
                precision, *errors = one.figures().values()
                rows.append([name, int(of_class.sum()), mean, precision, *errors])
        columns = ['class', 'detections', 'mean score', 'precision', 'D-ECE', 'MCE']
        facts = {
            'D-ECE': figures['ece'],
            'MCE': figures['mce'],
            'detections': len(scores),
            'mean score': float(scores.mean()),
            'precision': figures['accuracy'],
        }
        text = (
            'A detection is right if it matches an object of its class with an IoU of at least '
            f'{MIN_IOU:g}. D-ECE (Küppers et al. 2020, that of the score alone, not of place and '
            'size) is the mean difference between the score and the share of right detections, in '
            f'{BINS} bins; MCE is the largest one. Detections that the model itself leaves out, by '
            'its score_thr, are not in it.'
        )
        return Section(
            self.title,
            facts,
            [text],
            [Table('Classes', columns, rows)],
            [Picture('Reliability', DIAGRAM, NOTE)],
            [STATS],
        )
