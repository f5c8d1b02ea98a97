"""Which classes are taken for which: the worst pairs of a confusion matrix, and its picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ..figures.style import name_label, save_figure, style

WHOLE = 40  # classes at most that are drawn in full
PART = 30  # classes that are drawn of more
WRITTEN = 20  # classes at most whose counts are written into the cells
OTHERS = 'all others'


class Pair(NamedTuple):
    """Pictures of one class that were taken for another."""

    true: int
    predicted: int
    count: int
    share: float  # of the pictures of the true class


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, number: int) -> np.ndarray:
    """Counts (C, C); rows are true classes.

    Args:
        labels: True classes, (N,).
        predicted: Likewise.
        number: Of classes, C.
    """
    return np.bincount(number * labels + predicted, minlength=number**2).reshape(number, number)


def worst_pairs(matrix: np.ndarray, number: int) -> list[Pair]:
    """The most frequent confusions, by count, then by share.

    Args:
        matrix: Counts, (C, C); rows are true classes.
        number: Of pairs, at most.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    true, predicted = np.nonzero(wrong)
    counts, shares = wrong[true, predicted], (wrong / np.maximum(matrix.sum(1), 1)[:, None])
    shares = shares[true, predicted]
    order = np.lexsort((-shares, -counts))[:number]
    columns = (column[order].tolist() for column in (true, predicted, counts, shares))
    return [Pair(*values) for values in zip(*columns, strict=True)]


def classes_of(pairs: Sequence[Pair], number: int) -> list[int]:
    """The classes of the worst pairs, up to `number`, so that those of a pair are neighbours."""
    chosen: list[int] = []
    for pair in pairs:
        new = [label for label in (pair.true, pair.predicted) if label not in chosen]
        if len(chosen) + len(new) > number:
            break
        partner = next((one for one in (pair.true, pair.predicted) if one in chosen), None)
        place = len(chosen) if partner is None else chosen.index(partner) + 1
        chosen[place:place] = new
    return chosen


def draw_confusion(matrix: np.ndarray, names: Sequence[str], path: Path) -> str:
    """Draw a confusion matrix as a PNG, each row as shares of its true class.

    Of more than 40 classes only those of the worst pairs are drawn, up to 30; a last column has
    all others.

    Args:
        matrix: Counts, (C, C); rows are true classes.
        names: Of the classes.
        path: Of the PNG.

    Returns:
        What is drawn, in a sentence.
    """
    totals = np.maximum(matrix.sum(1), 1)
    if len(names) <= WHOLE:
        rows = list(range(len(names)))
        counts, columns = matrix, [*names]
        text = 'Rows are true classes, columns what the model takes them for.'
    else:
        rows = sorted(range(len(names)), key=lambda label: -totals[label])[:PART]
        rows = classes_of(worst_pairs(matrix, len(names) * PART), PART) or rows
        inside = matrix[np.ix_(rows, rows)]
        rest = matrix[rows].sum(1) - inside.sum(1)
        counts, columns = np.column_stack([inside, rest]), [*(names[i] for i in rows), OTHERS]
        text = (
            'Rows are true classes, columns what the model takes them for. Of '
            f'{len(names)} classes the {len(rows)} that are confused most are shown; the last '
            'column has all others.'
        )
    labels = [name_label(names[label]) for label in rows]
    columns = [name_label(name) for name in columns]
    side = 3 + 0.3 * max(len(rows), 8)
    with style(''.join([*labels, *columns])):
        figure = Figure(figsize=(side + 1, side), layout='constrained')
        axes = figure.subplots()
        shares = counts / totals[rows][:, None]
        image = axes.imshow(shares, cmap='Blues', norm=PowerNorm(0.5, 0, 1))
        axes.set(xlabel='predicted class', ylabel='true class')
        axes.set_xticks(range(len(columns)), columns, rotation=0 if _narrow(columns) else 90)
        axes.set_yticks(range(len(rows)), labels)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, shrink=0.7, ticks=[0, 0.05, 0.2, 0.5, 1])
        bar.ax.set_yticklabels(['0%', '5%', '20%', '50%', '100%'])
        bar.set_label('share of the true class')
        if len(rows) <= WRITTEN:
            for (row, column), count in np.ndenumerate(counts):
                colour = 'white' if shares[row, column] > 0.4 else 'black'
                if count:
                    axes.text(column, row, count, color=colour, ha='center', va='center', size=8)
        save_figure(figure, path)
    return text


def _narrow(names: Sequence[str]) -> bool:
    return max(map(len, names)) <= 3
