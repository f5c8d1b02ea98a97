"""Calibrators: they turn a classifier's scores into ones that say how often it is right.

They are fitted by :mod:`mmoverlock.analysis.measures.calibrators`, and kept as JSON files:
``method``, ``classes`` (their names, by label) and the numbers of the method.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmoverlock.utils.errors import shown
from mmoverlock.utils.json import dumps

_TINY = float(np.finfo(np.float32).tiny)  # smaller scores count as this
_LEAST = 1e-12  # scores of one class, and of all others together, are not less in log-odds


def log_scores(scores: np.ndarray) -> np.ndarray:
    """Logits up to a constant for each row, float64: logarithms of scores (N, C)."""
    return np.log(np.maximum(np.asarray(scores, np.float64), _TINY))


def log_odds(scores: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of each score, float64, between -27.7 and 27.7."""
    scores = np.asarray(scores, np.float64)
    return np.log(np.maximum(scores, _LEAST)) - np.log(np.maximum(1 - scores, _LEAST))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from logits (N, C)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def normalized(scores: np.ndarray) -> np.ndarray:
    """Scores (N, C) of classes taken one by one, made to sum to 1; equal ones if all are 0."""
    total = scores.sum(1, keepdims=True)
    equal = np.full_like(scores, 1 / scores.shape[1])
    return np.divide(scores, total, out=equal, where=total > 0)


@dataclass(frozen=True)
class Calibrator:
    """Turns scores (N, C), probabilities, into calibrated ones, float64, when called."""

    method: ClassVar[str]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def check(self, number: int) -> None:
        """Raise ValueError or TypeError unless the numbers are right for `number` classes."""
        raise NotImplementedError


@dataclass(frozen=True)
class TemperatureScaling(Calibrator):
    """softmax(logits / T); the best class stays the best. Guo et al. 2017, section 4.2.

    Attributes:
        temperature: T.
    """

    method = 'temperature'
    temperature: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return softmax(log_scores(scores) / self.temperature)

    def check(self, number: int) -> None:
        if not _numbers([self.temperature])[0] > 0:
            raise ValueError


@dataclass(frozen=True)
class PlattScaling(Calibrator):
    """1 / (1 + exp(-(a x + b))) of each class's log-odds x, made to sum to 1.

    Platt 1999 for each class against the rest, as Zadrozny and Elkan 2002 do for several classes.

    Attributes:
        slopes: a, by label.
        intercepts: b, by label.
    """

    method = 'platt'
    slopes: Sequence[float]
    intercepts: Sequence[float]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        x = log_odds(scores) * np.asarray(self.slopes) + np.asarray(self.intercepts)
        return normalized(np.exp(-np.logaddexp(0, -x)))

    def check(self, number: int) -> None:
        for values in (self.slopes, self.intercepts):
            if len(_numbers(values)) != number:
                raise ValueError


@dataclass(frozen=True)
class IsotonicRegression(Calibrator):
    """A rising piecewise linear function of each class's score, made to sum to 1.

    Zadrozny and Elkan 2002.

    Attributes:
        scores: Where the pieces of each function begin and end, rising, by label.
        values: Of the functions there.
    """

    method = 'isotonic'
    scores: Sequence[Sequence[float]]
    values: Sequence[Sequence[float]]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        columns = zip(np.asarray(scores, np.float64).T, self.scores, self.values, strict=True)
        return normalized(np.stack([np.interp(p, x, y) for p, x, y in columns], 1))

    def check(self, number: int) -> None:
        if not len(self.scores) == len(self.values) == number:
            raise ValueError
        for x, y in zip(self.scores, self.values, strict=True):
            x, y = _numbers(x), _numbers(y)
            if not len(x) == len(y) > 0 or (np.diff(x) < 0).any() or y.min() < 0 or y.max() > 1:
                raise ValueError


_METHODS = {one.method: one for one in (TemperatureScaling, PlattScaling, IsotonicRegression)}


def _numbers(values: Any) -> np.ndarray:
    found = np.array(values)
    if found.ndim != 1 or found.dtype.kind not in 'if' or not np.isfinite(found).all():
        raise ValueError
    return found


def to_json(calibrator: Calibrator, classes: Sequence[str]) -> str:
    """The content of the file that :func:`read_calibrator` reads."""
    data = dict(method=calibrator.method, classes=classes, **dataclasses.asdict(calibrator))
    return dumps(data) + '\n'


def read_calibrator(path: str | os.PathLike, classes: Sequence[str]) -> Calibrator:
    """Read a calibrator.

    Args:
        path: The JSON file.
        classes: Names of the model's classes, by label.

    Raises:
        ValueError: it does not exist, is no calibrator's file, damaged, or for other classes.
        OSError: it cannot be read.
    """
    if not Path(path).is_file():
        raise ValueError(f"calibration: '{path}' does not exist")
    try:
        data = json.loads(Path(path).read_text('utf-8'))
        cls, names = _METHODS[data['method']], [str(name) for name in data['classes']]
        fields = [field.name for field in dataclasses.fields(cls)]
        calibrator = cls(*(data[field] for field in fields))
        calibrator.check(len(names))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError(f"calibration: '{path}' is damaged, or no calibrator") from None
    if names != list(classes):
        raise ValueError(
            f"calibration: '{path}' is for {len(names)} classes, {shown(names, 3)}; the model has "
            f'{len(classes)}, {shown(classes, 3)}'
        )
    return calibrator
