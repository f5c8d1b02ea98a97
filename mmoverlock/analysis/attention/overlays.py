"""Pictures with maps laid over them: a row for each picture, a column for each map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmoverlock.visualization.fonts import drawable

from ..figures import style

HEADER, LINE, GAP = 0.5, 0.27, 0.06  # inches


@dataclass(frozen=True)
class Row:
    """A row: its title, and as many pictures (H, W, 3) uint8 RGB as there are columns."""

    title: str
    pictures: Sequence[np.ndarray]


def draw_rows(rows: Sequence[Row], columns: Sequence[str]) -> Figure:
    """Draw pictures with a title above each row and a name above each column."""
    cell = min(max(12 / len(columns), 1.3), 2.4)
    ratios = [max(one.shape[0] / one.shape[1] for one in row.pictures) for row in rows]
    heights = [LINE + cell * min(ratio, 2) + GAP for ratio in ratios]
    width, height = len(columns) * (cell + GAP) + GAP, HEADER + sum(heights)
    with style(''.join(row.title for row in rows)):
        figure = Figure(figsize=(width, height))
        for j, name in enumerate(columns):
            x = (GAP + j * (cell + GAP) + cell / 2) / width
            figure.text(x, 1 - HEADER / 2 / height, name, ha='center', va='center', fontsize=9)
        top = height - HEADER
        for row, size in zip(rows, heights, strict=True):
            title = drawable(row.title)
            figure.text(GAP / width, (top - LINE / 2) / height, title, va='center', fontsize=9)
            for j, picture in enumerate(row.pictures):
                left, bottom = GAP + j * (cell + GAP), top - size + GAP
                box = left / width, bottom / height, cell / width, (size - LINE - GAP) / height
                axes = figure.add_axes(box)
                small = max(picture.shape) < 110 * cell
                axes.imshow(picture, interpolation='nearest' if small else 'antialiased')
                axes.axis('off')
            top -= size
    return figure
