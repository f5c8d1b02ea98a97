"""Calibration: how far scores are from how often they are right."""

import numpy as np

BINS = 15  # of equal width, as in Guo et al. 2017
_LEAST = np.finfo(np.float64).eps  # smaller scores count as this in the NLL, as in scikit-learn


class ReliabilityBins:
    """Predictions in bins of their scores; those with a score of 1 are in the last one.

    torchmetrics has the same errors, but keeps every prediction and gives no bins.

    Attributes:
        counts: Predictions in each bin, (15,) float64.
    """

    def __init__(self) -> None:
        self.counts, self._scores, self._right = np.zeros((3, BINS))

    def add(self, scores: np.ndarray, right: np.ndarray) -> None:
        """Take in predictions: scores (N,) from 0 to 1, and whether they are right, (N,) bool."""
        scores = scores.astype(np.float64)
        bins = np.minimum((scores * BINS).astype(int), BINS - 1)
        for sums, weights in ((self.counts, None), (self._scores, scores), (self._right, right)):
            sums += np.bincount(bins, weights, BINS)

    @property
    def mean_scores(self) -> np.ndarray:
        """By bin, (15,); NaN in empty ones."""
        with np.errstate(invalid='ignore'):
            return self._scores / self.counts

    @property
    def accuracies(self) -> np.ndarray:
        """The share that is right by bin, (15,); NaN in empty ones."""
        with np.errstate(invalid='ignore'):
            return self._right / self.counts

    def figures(self) -> dict[str, float]:
        """``accuracy``, ``ece`` and ``mce``: Guo et al. 2017, equations 3 and 5; NaN of nothing.

        The errors are the mean and the greatest difference between score and accuracy.
        """
        total = self.counts.sum()
        if not total:
            return dict.fromkeys(('accuracy', 'ece', 'mce'), float('nan'))
        filled = self.counts > 0
        gaps = np.abs(self.mean_scores - self.accuracies)[filled]
        return dict(
            accuracy=float(self._right.sum() / total),
            ece=float(gaps @ self.counts[filled] / total),
            mce=float(gaps.max()),
        )


class ClassCalibration:
    """How calibrated the scores of classes are.

    Attributes:
        bins: Of the predicted classes.
    """

    def __init__(self) -> None:
        self.bins = ReliabilityBins()
        self._log_loss = self._squares = 0.0

    def add(self, scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> None:
        """Take in predictions.

        Args:
            scores: Probabilities, (N, C).
            predicted: Classes, (N,).
            labels: True classes, (N,).
        """
        of_predicted, own = (
            np.take_along_axis(scores, one[:, None].astype(np.intp), 1)[:, 0]
            for one in (predicted, labels)
        )
        self.bins.add(of_predicted, predicted == labels)
        own = own.astype(np.float64)
        self._log_loss -= float(np.log(np.maximum(own, _LEAST)).sum())
        squares = np.einsum('nc,nc->n', scores, scores).astype(np.float64)
        self._squares += float((squares - 2 * own + 1).sum())

    def figures(self) -> dict[str, float]:
        """Those of the bins, ``nll`` and ``brier``.

        The NLL is the mean of -log of the true class's score. The Brier score is the mean of the
        squared differences to 1 for the true class and 0 for the others, summed over classes: from
        0 to 2.
        """
        total = self.bins.counts.sum() or np.nan
        return dict(
            self.bins.figures(),
            nll=float(self._log_loss / total),
            brier=float(self._squares / total),
        )


def classwise_ece(scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean over classes of the ECE of each class's score. Kull et al. 2019, equation 3.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).
    """
    errors = []
    for label in range(scores.shape[1]):
        bins = ReliabilityBins()
        bins.add(scores[:, label], labels == label)
        errors.append(bins.figures()['ece'])
    return float(np.mean(errors))
