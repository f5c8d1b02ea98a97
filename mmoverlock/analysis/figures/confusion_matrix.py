"""A picture of a confusion matrix, of few classes or of many."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mmoverlock.visualization.fonts import drawable

from ..measures.label_maps import worst_pairs
from .style import save_figure, style

NUMBERS = 25  # classes at most, for shares in the cells
NAMED = 160  # classes at most, for names at the axes
PAIRS = 30  # listed beside a matrix without numbers
LONGEST = 18  # characters of a name


def draw_confusion(matrix: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, each row divided by its sum.

    Up to 25 classes have their shares in the cells; beyond, the worst-confused pairs are listed
    beside the matrix; beyond 160, labels are numbers.

    Args:
        matrix: Counts by true (rows) and predicted class, (C, C).
        names: Of the rows and columns, C.
        path: Of the PNG file.
    """
    number = len(names)
    names = [shortened(name) for name in names]
    with np.errstate(invalid='ignore'):
        shares = matrix / matrix.sum(1, keepdims=True)
    side = 3.5 + 0.42 * number if number <= NUMBERS else 14
    beside = 0 if number <= NUMBERS else 4.5
    with style(''.join(names)):
        figure = Figure(figsize=(side + 0.8 + beside, side), layout='compressed')
        if beside:
            axes, text = figure.subplots(1, 2, width_ratios=(side + 0.8, beside))
            _list_pairs(text, matrix, names)
        else:
            axes = figure.subplots()
        colours = colormaps['Blues'].with_extremes(bad='#e4e4e4')
        image = axes.imshow(
            np.ma.masked_invalid(shares), cmap=colours, norm=PowerNorm(0.5, 0, 1), aspect='equal',
            interpolation='nearest' if number <= NAMED else 'antialiased',
        )  # fmt: skip
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        bar.set_label('share of the true class')
        bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        axes.set(xlabel='predicted class', ylabel='true class')
        axes.grid(False)
        if number <= NAMED:
            size = 10 if number <= NUMBERS else max(4.5, min(9, 850 / number))
            axes.set_xticks(range(number), names, rotation=90, fontsize=size)
            axes.set_yticks(range(number), names, fontsize=size)
        if number <= NUMBERS:
            _write_shares(axes, shares)
        save_figure(figure, path)


def shortened(name: str) -> str:
    """A name that fonts have, of at most 18 characters; '…' replaces the end of a longer one."""
    name = drawable(name)
    return name if len(name) <= LONGEST else f'{name[: LONGEST - 1].rstrip()}…'


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    """Write per cents into the cells; those below a half per cent of something as '<1'."""
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            text = '<1' if share < 0.005 else f'{100 * share:.0f}'
            colour = 'white' if share > 0.4 else 'black'
            axes.text(column, row, text, ha='center', va='center', color=colour, fontsize=8)
    axes.set_title('per cent of the true class', fontsize=10)


def _list_pairs(axes: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Write the worst-confused pairs beside the matrix."""
    axes.axis('off')
    axes.set_title('confused most often', fontsize=12, loc='left')
    for line, (row, column, count, share) in enumerate(worst_pairs(matrix, PAIRS)):
        y = 0.985 - line * 0.032
        axes.text(0, y, f'{names[row]} → {names[column]}', va='top', fontsize=9.5)
        axes.text(1, y, f'{share:.1%}', va='top', ha='right', fontsize=9.5)
        axes.text(
            0, y - 0.0145, f'{row} → {column}: {count:,}', va='top', fontsize=7.5, color='#666666'
        )
