"""Calibrators fitted to a model's scores."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mmoverlock.runtime.calibrators import (
    Calibrator,
    IsotonicRegression,
    PlattScaling,
    TemperatureScaling,
    log_odds,
    log_scores,
)

from ..extras import extra
from ..progress import progress

TEMPERATURES = 0.05, 20.0  # the range that is searched


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
    logits -= logits.max(1, keepdims=True)
    own = np.take_along_axis(logits, labels[:, None].astype(np.intp), 1)[:, 0]

    def nll(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        return (np.log(np.exp(logits * factor).sum(1)) - own * factor).mean()

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
