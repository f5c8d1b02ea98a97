"""Whether a classifier's scores can be trusted, and how to make them so."""

import io

import numpy as np

from mmoverlock.engine.calibrators import to_json
from mmoverlock.utils.files import write_whole

from ..calibration import BINS, FITS, TEMPERATURES, calibration_errors, halves, reliability
from ..reliability_diagram import draw_reliability
from ..section import Picture, Section, Table
from .base import ClassifierAnalysis

BEFORE = 'uncalibrated'
TITLES = {
    BEFORE: 'uncalibrated',
    'temperature': 'temperature scaling',
    'platt': 'Platt scaling',
    'isotonic': 'isotonic regression',
}
COLUMNS = dict(
    accuracy='accuracy', ece='ECE', mce='MCE', classwise_ece='classwise ECE', nll='NLL',
    brier='Brier score',
)  # fmt: skip
STATS, PLOT = 'calibration_stats.npz', 'reliability.png'


class Calibration(ClassifierAnalysis):
    """Errors before and after three calibrators, fitted on one half and scored on the other.

    Files: ``calibration_stats.npz``, ``reliability.png``, ``calibrator_<method>.json``.
    """

    title = 'Calibration'
    needs = (
        'torchmetrics.functional.classification', 'sklearn.linear_model', 'sklearn.isotonic',
        'scipy.optimize',
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
            errors[method] = calibration_errors(after, truth)
            bins[method] = reliability(after, truth)
        temperature = calibrators['temperature'].temperature
        self._write(errors, bins, temperature)
        draw_reliability(
            {title: (bins[one], errors[one]['ece']) for one, title in TITLES.items()},
            self.folder / PLOT,
        )
        table = Table(
            'Calibration errors',
            ['method', *COLUMNS.values()],
            [[TITLES[one], *(errors[one][key] for key in COLUMNS)] for one in TITLES],
            'Lower is better, except for accuracy. ECE and MCE: mean and greatest difference '
            f'between the score of the best class and its accuracy, in {BINS} bins. Classwise ECE: '
            'the mean of this over classes, for the scores of each. NLL: negative log-likelihood.',
        )
        best = min(errors, key=lambda one: errors[one]['nll'])
        facts = {
            'ECE': errors[BEFORE]['ece'],
            'ECE with temperature scaling': errors['temperature']['ece'],
            'temperature': temperature,
            'lowest NLL': TITLES[best],
        }
        note = (
            'Bars show how often the best class is right, by its score; of calibrated scores they '
            'end on the dashed line. Red and light blue: the difference to the mean score. Below: '
            'the share of images with such scores.'
        )
        missing = len(results.names) - len(np.unique(labels))
        mistakes = int((results.predicted[fitting] != labels).sum())
        return Section(
            self.title,
            facts,
            self._text(len(fitting), len(scoring), missing, mistakes, temperature),
            [table],
            [Picture('Reliability before and after', PLOT, note)],
            [STATS, *files],
        )

    def _write(self, errors: dict, bins: dict, temperature: float) -> None:
        columns = {key: np.array([errors[one][key] for one in TITLES]) for key in COLUMNS}
        for name in ('counts', 'confidences', 'accuracies'):
            columns[name] = np.stack([getattr(bins[one], name) for one in TITLES])
        data = io.BytesIO()
        np.savez(
            data, methods=np.array([*TITLES]), edges=bins[BEFORE].edges, temperature=temperature,
            **columns,
        )  # fmt: skip
        write_whole(self.folder / STATS, data.getbuffer())

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
