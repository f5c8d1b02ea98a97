"""Whether a classifier's scores can be trusted, and how to make them so."""

import numpy as np

from mmoverlock.runtime.calibrators import to_json
from mmoverlock.utils.files import write_whole

from ..calibration import DIAGRAM, NOTE, STATS, errors_table, save_stats
from ..figures.reliability import draw_reliability
from ..measures.calibration import ClassCalibration, classwise_ece
from ..measures.calibrators import FITS, TEMPERATURES, halves
from ..section import Picture, Section
from .base import ClassifierAnalysis

BEFORE = 'uncalibrated'
TITLES = {
    BEFORE: 'uncalibrated',
    'temperature': 'temperature scaling',
    'platt': 'Platt scaling',
    'isotonic': 'isotonic regression',
}


class Calibration(ClassifierAnalysis):
    """Errors before and after three calibrators, fitted on one half and scored on the other.

    Files: ``calibration_stats.npz``, ``reliability.png``, ``calibrator_<method>.json``.
    """

    title = 'Calibration'
    needs = (
        'sklearn.linear_model', 'sklearn.isotonic', 'scipy.optimize',
    )  # fmt: skip

    def analyze(self) -> Section:
        results = self.results
        if len(results) < 2 or len(results.names) < 2:
            text = 'Two images and two classes at least are needed: nothing was computed.'
            return Section(self.title, text=[text])
        fitting, scoring = halves(results.labels)
        known, labels = results.scores[fitting], results.labels[fitting]
        test, truth = results.scores[scoring], results.labels[scoring]
        calibrators, errors, bins, files = {}, {}, {}, []
        for method in TITLES:
            after = test
            if method != BEFORE:
                calibrators[method] = FITS[method](known, labels)
                after = calibrators[method](test)
                files.append(f'calibrator_{method}.json')
                content = to_json(calibrators[method], results.names)
                write_whole(self.folder / files[-1], content.encode())
            one = ClassCalibration()
            one.add(after, after.argmax(1), truth)
            errors[method] = dict(one.figures(), classwise_ece=classwise_ece(after, truth))
            bins[method] = one.bins
        temperature = calibrators['temperature'].temperature
        save_stats(self.folder, bins, errors, temperature=temperature)
        panels = {TITLES[method]: one for method, one in bins.items()}
        draw_reliability(panels, 'images', self.folder / DIAGRAM)
        table = errors_table({TITLES[method]: row for method, row in errors.items()})
        best = min(errors, key=lambda one: errors[one]['nll'])
        facts = {
            'ECE': errors[BEFORE]['ece'],
            'ECE with temperature scaling': errors['temperature']['ece'],
            'temperature': temperature,
            'lowest NLL': TITLES[best],
        }
        missing = len(results.names) - len(np.unique(labels))
        mistakes = int((results.predicted[fitting] != labels).sum())
        return Section(
            self.title,
            facts,
            self._text(len(fitting), len(scoring), missing, mistakes, temperature),
            [table],
            [Picture('Reliability', DIAGRAM, NOTE)],
            [STATS, *files],
        )

    def _text(
        self, fitted: int, scored: int, missing: int, mistakes: int, temperature: float
    ) -> list[str]:
        text = [
            f'The calibrators were fitted on {fitted} images and scored on {scored} others; both '
            'halves have the same share of each class. Give one, such as '
            'calibrator_temperature.json, to mmoverlock infer as its calibration.',
            'Temperature scaling never changes which class is best. The other two treat each class '
            'against the rest, may change it, and need many images of each class. Isotonic '
            'regression may give the true class the score 0, which the NLL punishes hard.',
        ]
        if missing:
            text.append(
                f'Classes without an image in the half for fitting: {missing}. Platt scaling and '
                'isotonic regression leave their scores as they are.'
            )
        low, high = TEMPERATURES
        if not mistakes:
            text.append(
                'No image of the half for fitting is classified wrongly: it does not determine a '
                'temperature. Do not use the calibrators.'
            )
        elif not 1.01 * low < temperature < high / 1.01:
            text.append(
                f'The temperature is at the end of the range from {low:g} to {high:g} that is '
                'searched: something is odd about the scores.'
            )
        return text
