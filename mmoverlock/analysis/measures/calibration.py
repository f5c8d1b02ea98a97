"""Calibration of very many predictions: sums in bins of confidence, and a temperature."""

import numpy as np
from scipy.optimize import minimize_scalar

BINS = 15
_TINY = np.finfo(np.float32).tiny


class CalibrationBins:
    """Sums over predictions, by confidence in equal bins; the last one includes 1.

    torchmetrics' calibration errors, which this equals, keep every prediction.

    Attributes:
        counts, confidence, correct: (BINS,) float64: number of predictions, and the sums of their
            confidences and of how many are right.
        log_loss, squared: Sums of the losses.
    """

    def __init__(self) -> None:
        self.counts, self.confidence, self.correct = np.zeros((3, BINS))
        self.log_loss = self.squared = 0.0

    def add(self, probabilities: np.ndarray, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Take in predictions.

        Args:
            probabilities: (C, ...) float32.
            prediction: The predicted labels, (...).
            truth: The true ones, (...), all below C.
        """
        flat = probabilities.reshape(len(probabilities), -1)
        prediction, truth = prediction.reshape(1, -1), truth.reshape(1, -1)
        confidence = np.take_along_axis(flat, prediction.astype(np.intp), 0)[0].astype(float)
        of_truth = np.take_along_axis(flat, truth.astype(np.intp), 0)[0].astype(float)
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        right = (prediction == truth)[0]
        for sums, weights in (
            (self.counts, None),
            (self.confidence, confidence),
            (self.correct, right),
        ):
            sums += np.bincount(bins, weights, BINS)
        self.log_loss -= float(np.log(np.maximum(of_truth, _TINY)).sum())
        squares = np.einsum('cn,cn->n', flat, flat).astype(float)
        self.squared += float((squares - 2 * of_truth + 1).sum())

    @property
    def gaps(self) -> np.ndarray:
        """Confidence less accuracy, by bin; NaN in empty ones."""
        with np.errstate(invalid='ignore'):
            return (self.confidence - self.correct) / self.counts

    def scores(self) -> dict[str, float]:
        """``ECE`` and ``MCE`` (Guo et al., 2017, equations 3 and 5), ``NLL``, ``Brier``.

        The Brier score is the sum of squares over all classes, from 0 to 2.
        """
        total = self.counts.sum()
        if not total:
            return dict.fromkeys(('ECE', 'MCE', 'NLL', 'Brier'), float('nan'))
        gaps = np.nan_to_num(np.abs(self.gaps))
        return dict(
            ECE=float((gaps * self.counts).sum() / total),
            MCE=float(gaps.max()),
            NLL=float(self.log_loss / total),
            Brier=float(self.squared / total),
        )


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(z / T) from softmax(z): probabilities (C, N) float32."""
    logits = np.log(np.maximum(probabilities, _TINY)) / np.float32(temperature)
    logits -= logits.max(0)
    np.exp(logits, out=logits)
    return logits / logits.sum(0)


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least mean NLL (Guo et al., 2017, section 4.2), 0.02 to 50.

    Args:
        probabilities: (C, N) float32, at least one prediction.
        truth: Labels, (N,).
    """
    logits = np.log(np.maximum(probabilities, _TINY))
    logits -= logits.max(0)
    of_truth = np.take_along_axis(logits, truth[None].astype(np.intp), 0)[0]

    def loss(log_temperature: float) -> float:
        factor = np.float32(np.exp(-log_temperature))
        sums = np.exp(logits * factor).sum(0)
        return float((np.log(sums) - of_truth * factor).mean(dtype=float))

    best = minimize_scalar(loss, bounds=(np.log(0.02), np.log(50)), method='bounded')
    return float(np.exp(best.x))
