"""Whether a segmentor's confidence can be trusted: calibration, and where it is uncertain."""

from pathlib import Path

import numpy as np

from ..analysis import NO_LABELS, Analysis, Options
from ..calibration import DIAGRAM, FIGURES, NOTE, STATS, errors_table, save_stats
from ..extras import extra
from ..figures.reliability import draw_reliability
from ..measures.calibration import ClassCalibration
from ..measures.calibrators import fit_temperature
from ..measures.label_maps import IGNORED
from ..measures.pixels import PixelSample, entropy
from ..section import Picture, Section
from ..subject import Subject
from .sample import SCORES, Sample, gives_scores
from .uncertainty import UncertaintyMaps

MAPS = 'uncertainty_map.png'
TITLES = dict(
    all='all pixels', uncalibrated='half of the images', temperature='with temperature scaling'
)


class Calibration(Analysis):
    """Calibration of pixels, a temperature, and maps of entropy."""

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        self.metrics = extra('sklearn.metrics')
        number = len(subject.indices)
        self.methods = dict(all=ClassCalibration())
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
            self.methods['all'].add(
                probabilities[:, row, every].T, prediction[row, every], truth[row, every]
            )
        places = self.sample.add(probabilities, truth, valid)
        self.labels.append(prediction.ravel()[places])

    def finish(self) -> Section:
        self.maps.draw(self.folder / MAPS)
        text = [SCORES] if gives_scores(self.subject.model) else []
        pictures = [Picture('Uncertainty', MAPS, self.maps.note)]
        if not self.methods['all'].bins.counts.any():
            return Section('Calibration', {}, [NO_LABELS, *text], pictures=pictures)
        self._scale()
        figures = {method: one.figures() for method, one in self.methods.items()}
        auroc = self._auroc()
        bins = {method: one.bins for method, one in self.methods.items()}
        save_stats(self.folder, bins, figures, temperature=self.temperature, entropy_auroc=auroc)
        panels = {TITLES[method]: one for method, one in bins.items()}
        draw_reliability(panels, 'pixels', self.folder / DIAGRAM)
        facts = {FIGURES[key]: value for key, value in figures['all'].items()}
        facts |= {'temperature': self.temperature, 'AUROC of entropy': auroc}
        table = errors_table({TITLES[method]: row for method, row in figures.items()})
        pictures.insert(0, Picture('Reliability', DIAGRAM, NOTE))
        text += [
            f'Every labelled pixel counts in "{TITLES["all"]}". Temperature and AUROC come from up '
            f'to {self.sample.quota:,} pixels of each image, drawn by chance with a fixed seed.',
            'The AUROC says how well entropy finds wrong pixels: 1 is perfect, 0.5 is chance.',
            self._about_temperature(),
        ]
        return Section('Calibration', facts, text, [table], pictures, [STATS])

    def _about_temperature(self) -> str:
        if self.temperature is None:
            return 'A temperature needs two labelled images: one to fit it, one to score it.'
        return (
            f'The temperature {self.temperature:.3f} was fitted on every second image, and is '
            'scored on the others. Above 1, the model is too confident.'
        )

    def _scale(self) -> None:
        """Fit a temperature on every second picture; score it on the others."""
        if len(self.labels) < 2:
            return
        scale = fit_temperature(*self.sample.of(slice(0, None, 2)))
        self.temperature = scale.temperature
        scores, truth = self.sample.of(slice(1, None, 2))
        labels = np.concatenate(self.labels[1::2])
        for method, after in (('uncalibrated', scores), ('temperature', scale(scores))):
            self.methods[method] = ClassCalibration()
            self.methods[method].add(after, labels, truth)

    def _auroc(self) -> float | None:
        """How well entropy tells wrong pixels from right ones; None if all are of one kind."""
        probabilities, truth = self.sample.of()
        wrong = truth != np.concatenate(self.labels)
        if wrong.all() or not wrong.any():
            return None
        return float(self.metrics.roc_auc_score(wrong, entropy(probabilities.T)))
