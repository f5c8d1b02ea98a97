"""A picture of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from mmoverlock.visualization.fonts import drawable

from .figures import save_figure, style

NUMBERED = 20  # classes at most whose counts are written into the cells
NAMED = 100  # classes at most whose names stand beside the matrix
CELLS = 400  # in a row at most


def draw_confusion(matrix: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, each row in shares of its sum.

    Small shares have more colour than in proportion. Of very many classes neighbours share a cell,
    which shows the largest share among them.

    Args:
        matrix: Counts (C, C): rows are the true classes, columns the predicted ones.
        names: Of the classes; without them, and beyond 100 classes, their numbers.
        path: The PNG file.
    """
    number = len(matrix)
    sums = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, sums, out=np.zeros(matrix.shape), where=sums > 0)
    labels = [drawable(name if len(name) <= 20 else f'{name[:19]}…') for name in names]
    side = min(max(5.5, 1.5 + 0.55 * number if number <= NUMBERED else 4 + 0.13 * number), 17)
    size = 9 if number <= NUMBERED else 6.5
    with style(''.join(labels)):
        figure = Figure((side + 1, side), layout='constrained')
        axes = figure.subplots()
        axes.grid(visible=False)
        image = axes.imshow(
            _pooled(shares, -(-number // CELLS)), cmap='Blues', norm=PowerNorm(0.5, 0, 1),
            interpolation='nearest', extent=(-0.5, number - 0.5, number - 0.5, -0.5),
        )  # fmt: skip
        figure.colorbar(image, label='share of the true class', fraction=0.046, pad=0.02)
        axes.set(xlabel='predicted class', ylabel='true class')
        if number <= NAMED:
            axes.set_xticks(range(number), labels, rotation=90, fontsize=size)
            axes.set_yticks(range(number), labels, fontsize=size)
        if number <= NUMBERED:
            for row, column in zip(*matrix.nonzero(), strict=True):
                ink = 'white' if shares[row, column] > 0.3 else 'black'
                text = f'{matrix[row, column]}'
                axes.text(column, row, text, ha='center', va='center', color=ink, fontsize=8)
        save_figure(figure, path)


def _pooled(matrix: np.ndarray, side: int) -> np.ndarray:
    """The maxima of squares of `side` x `side` cells; the last ones may be smaller."""
    missing = -len(matrix) % side
    padded = np.pad(matrix, (0, missing))
    cells = len(padded) // side
    return padded.reshape(cells, side, cells, side).max((1, 3))
