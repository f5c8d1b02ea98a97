"""How well scores say how often detections are right."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..figures.style import save_figure, style

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Detections in bins of their scores, all of the same width.

    Attributes:
        counts: Detections in each bin, (B,).
        scores: Their mean score, (B,); NaN in empty bins.
        precision: The share that is right, (B,); NaN in empty bins.
    """

    counts: np.ndarray
    scores: np.ndarray
    precision: np.ndarray

    @property
    def expected_error(self) -> float:
        """D-ECE: the mean of abs(precision - score), each bin weighted by its count.

        Of the forms in Küppers et al., Multivariate Confidence Calibration for Object Detection,
        CVPR Workshops 2020, it is that of the confidence alone. NaN without detections.
        """
        filled = self.counts > 0
        gaps = np.abs(self.precision - self.scores)[filled]
        return float(np.average(gaps, weights=self.counts[filled])) if filled.any() else np.nan

    @property
    def largest_error(self) -> float:
        """MCE: the largest abs(precision - score) of a bin; NaN without detections."""
        filled = self.counts > 0
        return float(np.abs(self.precision - self.scores)[filled].max()) if filled.any() else np.nan


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort detections into bins.

    Args:
        scores: (N,), from 0 to 1. A score on the edge of two bins is in the upper one.
        right: (N,) bool, whether they are right.
        bins: B.
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    number = np.searchsorted(edges, scores, side='right')
    counts = np.bincount(number, minlength=bins)
    with np.errstate(invalid='ignore'):
        means = [np.bincount(number, values, bins) / counts for values in (scores, right)]
    return Reliability(counts, *means)


def draw_reliability(found: Reliability, path: Path) -> None:
    """Draw precision against score, and the number of detections below."""
    bins = len(found.counts)
    left = np.arange(bins) / bins
    with style():
        figure = Figure((6, 6.5), layout='constrained')
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        options = dict(width=1 / bins, align='edge', edgecolor='white')
        upper.bar(left, found.precision, color='C0', label='precision', **options)
        filled = found.counts > 0
        upper.plot(
            found.scores[filled],
            found.precision[filled],
            'o',
            color='C3',
            label='at the mean score',
        )
        upper.plot((0, 1), (0, 1), '--', color='grey', label='perfect calibration')
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel='share of detections that are right')
        title = f'D-ECE {found.expected_error:.3f}, MCE {found.largest_error:.3f}'
        upper.set_title(title)
        upper.legend(loc='upper left')
        lower.bar(left, found.counts, color='C7', **options)
        lower.set(xlabel='score', ylabel='detections')
        if found.counts.max() > 100 * max(1, found.counts[filled].min() if filled.any() else 1):
            lower.set_yscale('log')
        save_figure(figure, path)
