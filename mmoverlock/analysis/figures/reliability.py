"""Reliability diagrams: how often scores are right, and how frequent they are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..measures.calibration import BINS, ReliabilityBins
from .style import save_figure, style

COLOUR, OVER, UNDER = '#3b76af', '#e8a09d', '#a9c8e4'
RANGE = 100  # between the frequencies of scores, from which their axis is logarithmic


def draw_reliability(
    panels: Mapping[str, ReliabilityBins], unit: str, path: Path, error: str = 'ECE'
) -> None:
    """Draw reliability diagrams side by side as a PNG.

    Args:
        panels: By title; one at least.
        unit: What has scores, such as 'images'.
        path: Of the PNG.
        error: What the expected calibration error is called.
    """
    left = np.arange(BINS) / BINS
    bars = dict(width=1 / BINS, align='edge', edgecolor='white', linewidth=0.5)
    with style(''.join(panels)):
        figure = Figure(figsize=(max(3.6 * len(panels), 5), 5), layout='constrained')
        grid = figure.subplots(
            2, len(panels), sharex=True, sharey='row', squeeze=False, height_ratios=(3, 1)
        )
        for (title, one), (axes, shares) in zip(panels.items(), grid.T, strict=True):
            right, scores = one.accuracies, one.mean_scores
            axes.bar(left, right, color=COLOUR, label='right', **bars)
            for name, colour, gap in (
                ('score too high', OVER, scores - right),
                ('score too low', UNDER, right - scores),
            ):
                heights = np.where(gap > 0, gap, np.nan)
                low = np.fmin(right, scores)
                axes.bar(left, heights, bottom=low, color=colour, label=name, **bars)
            axes.plot([0, 1], [0, 1], color='black', linestyle='--', linewidth=1)
            ece = one.figures()['ece']
            axes.set_title(f'{title}\n{error} {ece:.3f}', fontsize='medium')
            axes.set(xlim=(0, 1), ylim=(0, 1))
            frequencies = one.counts / max(one.counts.sum(), 1)
            shares.bar(left, frequencies, color='grey', **bars)
            shares.set(xlabel='score')
            filled = frequencies[frequencies > 0]
            if filled.size and filled.max() > RANGE * filled.min():
                shares.set(yscale='log')
        grid[0, 0].set_ylabel('share that is right')
        grid[1, 0].set_ylabel(f'share of {unit}')
        grid[0, 0].legend(loc='upper left', fontsize='small')
        save_figure(figure, path)
