"""A figure of each class as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..measures.label_maps import mean
from .style import name_label, save_figure, style

WHOLE = 160  # classes at most that all have bars
ROWS = 50  # bars in a column at most
FAINT = '#d9dee3'


def draw_classes(
    series: Mapping[str, Sequence[float | None]], names: Sequence[str], what: str, path: Path
) -> str:
    """Draw a figure of each class as a PNG, the lowest first.

    Of more than 160 classes the lowest 50 have bars, and a curve shows all.

    Args:
        series: By what is compared, such as 'box': from 0 to 1, by class; None or NaN where there
            is nothing. The first series has the order.
        names: Of the classes.
        what: Name of the figure.
        path: Of the PNG.

    Returns:
        What is drawn, in a sentence or two.
    """
    values = {name: np.array(one, float) for name, one in series.items()}
    first = next(iter(values.values()))
    order = np.argsort(first, kind='stable')
    order = order[~np.isnan(first[order])]
    means = {name: mean(one) for name, one in values.items()}
    many = len(order) > WHOLE
    shown = order[:ROWS] if many else order
    columns = max(1, -(-len(shown) // ROWS))
    rows = max(1, -(-len(shown) // columns))
    labels = [name_label(names[label]) for label in shown]
    with style(''.join(labels)):
        ratios = [1] * columns + [1.3] * many
        size = max(7, 4.6 * sum(ratios)), 1.3 + (0.16 + 0.06 * len(values)) * max(rows, 4)
        figure = Figure(figsize=size, layout='constrained')
        grid = figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
        for column, axes in enumerate(grid[:columns]):
            part = slice(column * rows, (column + 1) * rows)
            _draw_bars(axes, {name: one[shown[part]] for name, one in values.items()}, rows)
            for number, (name, middle) in enumerate(means.items()):
                line = dict(color=f'C{number}', linestyle='--', linewidth=1)
                axes.axvline(middle, label=f'{name}, mean {middle:.3f}', **line)
            axes.set_yticks(range(len(labels[part])), labels[part], fontsize=9)
            axes.set_xlabel(what)
        for axes in grid[columns:]:
            for name, one in values.items():
                axes.plot(np.arange(1, len(order) + 1), one[order], label=name, linewidth=2)
            axes.axvspan(1, ROWS, color=FAINT, zorder=0)
            axes.set(xlabel='classes, the lowest first', ylabel=what, ylim=(0, 1.02))
            axes.set_xlim(1, len(order))
        figure.legend(*grid[0].get_legend_handles_labels(), loc='outside upper right', fontsize=9)
        save_figure(figure, path)
    text = f'The class with the lowest {what} comes first'
    if many:
        text += f': the lowest {ROWS} as bars, all {len(order)} as a curve'
    missing = len(names) - len(order)
    return f'{text}.' + (f' {missing} classes without a value are left out.' if missing else '')


def _draw_bars(axes: Axes, values: Mapping[str, np.ndarray], rows: int) -> None:
    """A bar of each class for each series, and its value."""
    height = 0.8 / len(values)
    for number, one in enumerate(values.values()):
        places = np.arange(len(one)) + (number - (len(values) - 1) / 2) * height
        bars = axes.barh(places, one, height, color=f'C{number}')
        texts = ['' if np.isnan(value) else f'{value:.3f}' for value in one]
        white = dict(facecolor='white', edgecolor='none', pad=0.6)
        axes.bar_label(bars, texts, padding=3, fontsize=8 if len(values) == 1 else 6, bbox=white)
    axes.set(xlim=(0, 1.15), ylim=(rows - 0.4, -0.6))
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(False, axis='y')
    axes.set_axisbelow(True)
