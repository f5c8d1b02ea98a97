"""Reliability diagrams: how often scores are right, and how frequent they are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..measures.calibrators import Reliability
from .style import save_figure, style

COLOUR, OVER, UNDER = '#3b76af', '#e8a09d', '#a9c8e4'


def draw_reliability(found: Mapping[str, tuple[Reliability, float]], path: Path) -> None:
    """Draw reliability diagrams side by side as a PNG.

    Args:
        found: By title: what to show, and the expected calibration error.
        path: Of the PNG.
    """
    with style(''.join(found)):
        figure = Figure(figsize=(3.6 * len(found), 5), layout='constrained')
        grid = figure.subplots(
            2, len(found), sharex=True, sharey='row', squeeze=False, height_ratios=(3, 1)
        )
        for (title, (one, error)), (axes, shares) in zip(found.items(), grid.T, strict=True):
            bars = dict(width=np.diff(one.edges), align='edge', edgecolor='white', linewidth=0.5)
            low = np.fmin(one.accuracies, one.confidences)
            axes.bar(one.edges[:-1], one.accuracies, color=COLOUR, label='accuracy', **bars)
            for name, colour, gap in (
                ('overconfident', OVER, one.confidences - one.accuracies),
                ('underconfident', UNDER, one.accuracies - one.confidences),
            ):
                heights = np.where(gap > 0, gap, np.nan)
                axes.bar(one.edges[:-1], heights, bottom=low, color=colour, label=name, **bars)
            axes.plot([0, 1], [0, 1], color='black', linestyle='--', linewidth=1)
            axes.set_title(f'{title}\nECE {error:.1%}', fontsize='medium')
            axes.set(xlim=(0, 1), ylim=(0, 1))
            shares.bar(one.edges[:-1], one.counts / one.counts.sum(), color='grey', **bars)
            shares.set(xlabel='score of the best class')
            shares.yaxis.set_major_formatter(PercentFormatter(1))
        grid[0, 0].set_ylabel('accuracy')
        grid[1, 0].set_ylabel('images')
        grid[0, 0].legend(loc='upper left', fontsize='small')
        save_figure(figure, path)
