"""A bar for each class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..measures.label_maps import mean
from .confusion_matrix import shortened
from .style import save_figure, style

ROWS = 50  # bars in a column at most


def draw_class_bars(values: np.ndarray, names: Sequence[str], axis: str, path: Path) -> None:
    """Draw a value from 0 to 1 of each class, the highest first, in columns of up to 50.

    Args:
        values: (C,); NaN where a class has none.
        names: Of the classes.
        axis: What the values are.
        path: Of the PNG file.
    """
    order = np.argsort(np.where(np.isnan(values), -1, values), kind='stable')[::-1]
    columns = -(-len(order) // ROWS)
    rows = -(-len(order) // columns)
    middle = mean(values)
    white = dict(facecolor='white', edgecolor='none', pad=0.6)
    with style(''.join(names)):
        size = max(7, 4.4 * columns), 1.1 + 0.22 * rows
        figure = Figure(figsize=size, layout='constrained')
        for column, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
            part = order[column * rows : (column + 1) * rows]
            bars = axes.barh(range(len(part)), np.nan_to_num(values[part]), color='#4285f4')
            texts = ['none' if np.isnan(value) else f'{value:.1%}' for value in values[part]]
            axes.bar_label(bars, texts, padding=3, fontsize=8, bbox=white)
            axes.set_yticks(range(len(part)), [shortened(names[i]) for i in part], fontsize=9)
            axes.set(xlim=(0, 1.15), ylim=(rows - 0.4, -0.6), xlabel=axis)
            axes.set_xticks(np.linspace(0, 1, 6))
            axes.grid(False, axis='y')
            if not np.isnan(middle):
                axes.axvline(middle, color='#d93025', linewidth=1, label=f'mean {middle:.1%}')
        if not np.isnan(middle):
            figure.legend(*axes.get_legend_handles_labels(), loc='outside upper right', fontsize=9)
        save_figure(figure, path)
