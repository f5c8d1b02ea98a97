"""A picture of a confusion matrix, of few classes or of many."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ..measures.confusion import Pair, classes_of, worst_pairs
from .style import name_label, save_figure, style

WRITTEN = 31  # columns at most, for numbers in the cells
WHOLE = 160  # classes at most that are all drawn
PART = 30  # classes that are drawn of more
LISTED = 30  # pairs beside a matrix without numbers
OTHERS = 'all others'


def draw_confusion(
    matrix: np.ndarray, names: Sequence[str], path: Path, background: bool = False
) -> str:
    """Draw a confusion matrix as a PNG, each row as shares of its true class.

    Up to 31 classes have their shares in the cells; of more, the worst pairs are listed beside the
    matrix. Of more than 160 those of the worst pairs are drawn, up to 30; a last column has the
    others.

    Args:
        matrix: Counts, (C, C); rows are true classes.
        names: Of the classes.
        path: Of the PNG.
        background: Whether the last class is none.

    Returns:
        What is drawn, in a sentence or two.
    """
    number, totals = len(names), matrix.sum(1)
    labels = [name_label(name) for name in names]
    text = 'Rows are true classes, columns what the model takes them for; grey rows have none.'
    rows, columns, counts = labels, labels, matrix
    if number > WHOLE:
        pairs = worst_pairs(matrix, number * PART, background=background)
        chosen = classes_of(pairs, PART) or np.argsort(-totals, kind='stable')[:PART].tolist()
        inside = matrix[np.ix_(chosen, chosen)]
        rest = matrix[chosen].sum(1) - inside.sum(1)
        counts, totals = np.column_stack([inside, rest]), totals[chosen]
        rows = [labels[one] for one in chosen]
        columns = [*rows, OTHERS]
        text += (
            f' Of {number} classes the {len(rows)} that are confused most are shown; the last '
            'column has all others.'
        )
    with np.errstate(invalid='ignore'):
        shares = counts / totals[:, None]
    written = len(columns) <= WRITTEN
    side = 3 + 0.4 * max(len(rows), 5) if written else 14
    beside = 0 if written else 5.2
    with style(''.join([*labels, OTHERS])):
        figure = Figure(figsize=(side + 0.8 + beside, side), layout='compressed')
        if written:
            axes = figure.subplots()
            _write_shares(axes, shares)
        else:
            axes, listed = figure.subplots(1, 2, width_ratios=(side + 0.8, beside))
            _list_pairs(listed, worst_pairs(matrix, LISTED, background=background), labels)
        colours = colormaps['Blues'].with_extremes(bad='#e4e4e4')
        image = axes.imshow(
            np.ma.masked_invalid(shares), cmap=colours, norm=PowerNorm(0.5, 0, 1),
            interpolation='nearest',
        )  # fmt: skip
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
        bar.set_label('share of the true class')
        bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        size = 10 if written else max(4.5, min(9, 850 / len(rows)))
        narrow = max(map(len, columns)) <= 3 and written
        turned = dict(rotation=0 if narrow else 90)
        axes.set_xticks(range(len(columns)), columns, fontsize=size, **turned)
        axes.set_yticks(range(len(rows)), rows, fontsize=size)
        axes.set(xlabel='predicted class', ylabel='true class')
        axes.grid(False)
        axes.spines[:].set_visible(False)
        save_figure(figure, path)
    return text


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    """Write per cents into the cells; those below a half per cent of something as '<1'."""
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            text = '<1' if share < 0.005 else f'{100 * share:.0f}'
            colour = 'white' if share > 0.4 else 'black'
            axes.text(column, row, text, ha='center', va='center', color=colour, fontsize=8)
    axes.set_title('per cent of the true class', fontsize=10)


def _list_pairs(axes: Axes, pairs: Sequence[Pair], names: Sequence[str]) -> None:
    """Write the worst-confused pairs beside the matrix."""
    axes.axis('off')
    axes.set_title('confused most often', fontsize=12, loc='left')
    for line, one in enumerate(pairs):
        y = 0.985 - line * 0.032
        axes.text(0, y, f'{names[one.true]} → {names[one.predicted]}', va='top', fontsize=9.5)
        axes.text(1, y, f'{one.share:.1%}', va='top', ha='right', fontsize=9.5)
        small = f'{one.true} → {one.predicted}: {one.count:,}'
        axes.text(0, y - 0.0145, small, va='top', fontsize=7.5, color='#666666')
