"""How calibrated a classifier's scores are, and calibrators fitted to them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from mmoverlock.engine.calibrators import (
    Calibrator,
    IsotonicRegression,
    PlattScaling,
    TemperatureScaling,
    log_odds,
    log_scores,
    softmax,
)

from ..extras import extra
from ..progress import progress

BINS = 15  # of equal width, as in Guo et al. 2017
TEMPERATURES = 0.05, 20.0  # the range that is searched
_BELOW_ONE = np.nextafter(1, 0)  # torchmetrics counts scores of 1 in a bin of their own


class Reliability(NamedTuple):
    """What a reliability diagram shows, by bin of the best class's score."""

    edges: np.ndarray  # (BINS + 1,)
    counts: np.ndarray  # pictures
    confidences: np.ndarray  # their mean score; NaN where there is none
    accuracies: np.ndarray  # the share whose best class is right; NaN where there is none


def reliability(scores: np.ndarray, labels: np.ndarray) -> Reliability:
    """Bin the best scores; a score on an edge belongs to the upper bin, 1 to the last.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).
    """
    edges = np.linspace(0, 1, BINS + 1)
    confidences, right = scores.max(1).astype(np.float64), scores.argmax(1) == labels
    bins = np.minimum(np.searchsorted(edges, confidences, 'right') - 1, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid='ignore'):
        means = [np.bincount(bins, one, BINS) / counts for one in (confidences, right)]
    return Reliability(edges, counts, *means)


def calibration_errors(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How far scores are from how often they are right.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).

    Returns:
        ``accuracy``. ``ece`` and ``mce``, mean and greatest difference between score and accuracy
        of the best class, by 15 bins of equal width (Guo et al. 2017, equations 3 and 5).
        ``classwise_ece``, the mean over classes of the same mean for each class's score (Kull et
        al. 2019, equation 3). ``nll``, the mean of -log of the true class's score, which counts as
        2.2e-16 at least, as in scikit-learn. ``brier``, the mean of the squared differences to 1
        for the true class and 0 for the others, summed over classes: from 0 to 2.
    """
    right = scores.argmax(1) == labels
    own = np.take_along_axis(scores, labels[:, None], 1)[:, 0].astype(np.float64)
    by_class = [_error(scores[:, k], labels == k, 'l1') for k in range(scores.shape[1])]
    squares = np.einsum('nc,nc->n', scores, scores, dtype=np.float64)
    return dict(
        accuracy=float(right.mean()),
        ece=_error(scores.max(1), right, 'l1'),
        mce=_error(scores.max(1), right, 'max'),
        classwise_ece=float(np.mean(by_class)),
        nll=float(-np.log(np.maximum(own, np.finfo(np.float64).eps)).mean()),
        brier=float((squares - 2 * own + 1).mean()),
    )


def _error(confidences: np.ndarray, right: np.ndarray, norm: str) -> float:
    """torchmetrics' calibration error of scores (N,) that are right or not."""
    metrics = extra('torchmetrics.functional.classification')
    values = np.clip(confidences.astype(np.float64), 0, _BELOW_ONE)
    found = metrics.binary_calibration_error(
        torch.from_numpy(values), torch.from_numpy(right).long(), BINS, norm, validate_args=False
    )
    return float(found)


def halves(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two halves by chance with equally many pictures of each class, as far as that goes.

    Args:
        labels: True classes, (N,).
        seed: Of the random numbers.

    Returns:
        The positions in each half, rising.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind='stable')]
    return np.sort(order[::2]), np.sort(order[1::2])


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> TemperatureScaling:
    """The temperature from 0.05 to 20 with the least NLL. Guo et al. 2017, section 4.2.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).
    """
    logits = log_scores(scores)
    own = np.arange(len(labels)), labels

    def nll(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        return -np.log(np.maximum(probabilities[own], np.finfo(np.float64).tiny)).mean()

    optimize = extra('scipy.optimize')
    found = optimize.minimize_scalar(
        nll, bounds=np.log(TEMPERATURES), method='bounded', options=dict(xatol=1e-5)
    )
    return TemperatureScaling(float(np.exp(found.x)))


def fit_platt(scores: np.ndarray, labels: np.ndarray) -> PlattScaling:
    """scikit-learn's logistic regression on each class's log-odds, with Platt's targets.

    The targets are (n + 1) / (n + 2) for the class's n pictures and 1 / (m + 2) for the m others
    (Platt 1999, section 2.2), which keeps the slope finite where no picture is wrong. A class that
    has no picture, or all, keeps its scores.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).
    """
    linear = extra('sklearn.linear_model')
    odds = log_odds(scores)

    def fit(label: int) -> tuple[float, float]:
        mine = labels == label
        positive = mine.sum()
        if positive in (0, len(mine)):
            return 1.0, 0.0
        targets = np.where(mine, (positive + 1) / (positive + 2), 1 / (len(mine) - positive + 2))
        # A picture with target t counts t times as one of the class, 1 - t times as none.
        x = np.concatenate([odds[:, label]] * 2)[:, None]
        y, weights = np.repeat([1, 0], len(mine)), np.concatenate([targets, 1 - targets])
        model = linear.LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x, y, weights)
        return float(model.coef_[0, 0]), float(model.intercept_[0])

    fitted = [fit(label) for label in progress(range(scores.shape[1]), 'Platt scaling')]
    return PlattScaling(*(list(column) for column in zip(*fitted, strict=True)))


def fit_isotonic(scores: np.ndarray, labels: np.ndarray) -> IsotonicRegression:
    """scikit-learn's isotonic regression on each class's score; a class as in :func:`fit_platt`.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,).
    """
    isotonic = extra('sklearn.isotonic')

    def fit(label: int) -> tuple[list[float], list[float]]:
        mine = labels == label
        if mine.sum() in (0, len(mine)):
            return [0.0, 1.0], [0.0, 1.0]
        model = isotonic.IsotonicRegression(y_min=0, y_max=1, out_of_bounds='clip')
        model.fit(scores[:, label].astype(np.float64), mine.astype(np.float64))
        return model.X_thresholds_.tolist(), model.y_thresholds_.tolist()

    fitted = [fit(label) for label in range(scores.shape[1])]
    return IsotonicRegression(*(list(column) for column in zip(*fitted, strict=True)))


FITS: dict[str, Callable[[Any, Any], Calibrator]] = {
    'temperature': fit_temperature,
    'platt': fit_platt,
    'isotonic': fit_isotonic,
}
