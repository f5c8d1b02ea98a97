"""Reliability diagrams."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..measures.calibration import BINS, CalibrationBins
from .style import save_figure, style


def draw_reliability(panels: Mapping[str, CalibrationBins], path: Path) -> None:
    """Draw accuracy by confidence, one diagram beside the other, each above a histogram.

    Args:
        panels: Titles, and what is drawn; at least one.
        path: Of the PNG file.
    """
    edges = np.linspace(0, 1, BINS + 1)
    with style(''.join(panels)):
        figure = Figure(figsize=(4.6 * len(panels), 6), layout='constrained')
        grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(3, 1))
        for (title, bins), (upper, lower) in zip(panels.items(), grid.T, strict=True):
            filled = bins.counts > 0
            confidence = (bins.confidence[filled] / bins.counts[filled]).clip(0, 1)
            accuracy = bins.correct[filled] / bins.counts[filled]
            upper.bar(
                edges[:-1][filled], accuracy, 1 / BINS, align='edge', color='#4285f4',
                edgecolor='white', label='accuracy',
            )  # fmt: skip
            upper.vlines(
                confidence, accuracy, confidence, color='#d93025', linewidth=2, label='gap'
            )
            upper.plot([0, 1], [0, 1], color='#555555', linestyle='--', linewidth=1)
            ece = bins.scores()['ECE']
            upper.set(title=f'{title}\nECE {ece:.2%}', ylim=(0, 1), xlim=(0, 1), ylabel='accuracy')
            upper.legend(loc='upper left', fontsize=9)
            lower.bar(
                edges[:-1], bins.counts / bins.counts.sum(), 1 / BINS, align='edge',
                color='#9aa0a6', edgecolor='white',
            )  # fmt: skip
            lower.set(xlabel='confidence', ylabel='share of pixels', yscale='log', ylim=(1e-5, 1))
        save_figure(figure, path)
