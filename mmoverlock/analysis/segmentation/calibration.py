"""Whether a segmentor's confidence can be trusted: calibration, and where it is uncertain."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from mmoverlock.utils.files import write_whole

from ..analysis import Analysis, Options
from ..extras import extra
from ..figures.reliability_plot import draw_reliability
from ..measures.calibration import CalibrationBins, fit_temperature, tempered
from ..measures.label_maps import IGNORED
from ..measures.pixels import PixelSample, entropy
from ..section import Picture, Section, Table
from ..subject import Subject
from .sample import NO_TRUTH, SCORES, Sample, gives_scores
from .uncertainty import UncertaintyMaps

STATS, DIAGRAM, MAPS = 'calibration_stats.npz', 'reliability.png', 'uncertainty_map.png'
ALL, BEFORE, AFTER = 'all pixels', 'half of the pictures', 'after temperature scaling'


class Calibration(Analysis):
    """Calibration of pixels, a temperature, and maps of entropy."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.metrics = extra('sklearn.metrics')
        number = len(subject.indices)
        self.bins = {ALL: CalibrationBins()}
        self.sample = PixelSample(number, len(subject.classes))
        self.labels: list[np.ndarray] = []  # predicted, of the sample
        self.maps = UncertaintyMaps(subject, number)
        self.temperature: float | None = None

    def see(self, sample: Sample) -> None:
        self.maps.add(sample)
        if sample.truth is None:
            return
        valid = sample.truth != IGNORED
        if not valid.any():
            return
        probabilities, prediction, truth = sample.probabilities, sample.prediction, sample.truth
        # Row by row, so that leaving pixels out copies few of them.
        for row in np.flatnonzero(valid.any(1)):
            where = valid[row]
            every = slice(None) if where.all() else where
            self.bins[ALL].add(
                probabilities[:, row, every], prediction[row, every], truth[row, every]
            )
        places = self.sample.add(probabilities, truth, valid)
        self.labels.append(prediction.ravel()[places])

    def finish(self) -> Section:
        self.maps.draw(self.folder / MAPS)
        text = [SCORES] if gives_scores(self.subject.model) else []
        pictures = [Picture('Uncertainty', MAPS, self.maps.note)]
        if not self.bins[ALL].counts.any():
            return Section('Calibration', {}, [NO_TRUTH, *text], pictures=pictures)
        self._scale()
        scores = {name: bins.scores() for name, bins in self.bins.items()}
        facts = dict(
            scores[ALL], temperature=self.temperature, **{'AUROC of entropy': self._auroc()}
        )
        self._write(facts)
        draw_reliability(self.bins, self.folder / DIAGRAM)
        rows = [[name, *values.values()] for name, values in scores.items()]
        note = (
            'ECE and MCE are the mean and the largest gap between confidence and accuracy in 15 '
            'bins; NLL is in nats; the Brier score runs from 0 to 2.'
        )
        table = Table('Calibration', ['pixels', *scores[ALL]], rows, note)
        pictures.insert(0, Picture('Reliability', DIAGRAM, 'Perfect confidence lies on the line.'))
        text += [
            f'Every labelled pixel counts in "{ALL}". Temperature and AUROC come from up to '
            f'{self.sample.quota:,} pixels of each picture, drawn by chance with a fixed seed.',
            'The AUROC says how well entropy finds wrong pixels: 1 is perfect, 0.5 is chance.',
            self._about_temperature(),
        ]
        return Section('Calibration', facts, text, [table], pictures, [STATS])

    def _about_temperature(self) -> str:
        if self.temperature is None:
            return 'A temperature needs two labelled pictures: one to fit it, one to score it.'
        return (
            f'The temperature {self.temperature:.3f} was fitted on every second picture, and is '
            'scored on the others. Above 1, the model is too confident.'
        )

    def _scale(self) -> None:
        """Fit a temperature on every second picture; score it on the others."""
        if len(self.labels) < 2:
            return
        self.temperature = fit_temperature(*self.sample.of(slice(0, None, 2)))
        probabilities, truth = self.sample.of(slice(1, None, 2))
        labels = np.concatenate(self.labels[1::2])
        for name, values in (
            (BEFORE, probabilities),
            (AFTER, tempered(probabilities, self.temperature)),
        ):
            self.bins[name] = CalibrationBins()
            self.bins[name].add(values, labels, truth)

    def _auroc(self) -> float | None:
        """How well entropy tells wrong pixels from right ones; None if all are of one kind."""
        probabilities, truth = self.sample.of()
        wrong = truth != np.concatenate(self.labels)
        if wrong.all() or not wrong.any():
            return None
        return float(self.metrics.roc_auc_score(wrong, entropy(probabilities)))

    def _write(self, facts: dict[str, Any]) -> None:
        sums = {
            f'{key} of {name}'.replace(' ', '_'): getattr(bins, key)
            for name, bins in self.bins.items()
            for key in ('counts', 'confidence', 'correct')
        }
        known = {key.replace(' ', '_'): value for key, value in facts.items() if value is not None}
        data = io.BytesIO()
        np.savez(data, **sums, **known)
        write_whole(self.folder / STATS, data.getvalue())
