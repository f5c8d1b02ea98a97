"""A figure of each class as bars; of many classes those of the worst, and a curve of all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .style import name_label, save_figure, style

BARS = 30  # at most
COLOUR, FAINT = '#3b76af', '#d9dee3'


def draw_classes(values: Sequence[float], names: Sequence[str], what: str, path: Path) -> str:
    """Draw a figure of each class as a PNG, sorted.

    Args:
        values: From 0 to 1; NaN where there is none.
        names: Of the classes.
        what: Name of the figure.
        path: Of the PNG.

    Returns:
        What is drawn, in a sentence.
    """
    known = np.array(values, float)
    order = [label for label in np.argsort(known, kind='stable') if not np.isnan(known[label])]
    worst, many = order[:BARS], len(order) > BARS
    labels = [name_label(names[label]) for label in worst]
    with style(''.join(labels)):
        width, height = (12 if many else 7), 1.2 + 0.24 * max(len(worst), 4)
        figure = Figure(figsize=(width, height), layout='constrained')
        bars, *rest = np.atleast_1d(figure.subplots(1, 1 + many))
        places = range(len(worst))
        bars.barh(places, [1] * len(worst), color=FAINT, height=0.75)
        bars.barh(places, known[worst], color=COLOUR, height=0.75)
        bars.set_yticks(places, labels)
        bars.set(xlabel=what, ylabel='class', xlim=(0, 1), ylim=(len(worst) - 0.4, -0.6))
        bars.grid(False, axis='y')
        for axes in rest:
            axes.plot(np.arange(1, len(order) + 1), known[order], color=COLOUR, linewidth=2)
            axes.axvspan(1, len(worst), color=FAINT, zorder=0)
            axes.axhline(known[order].mean(), color='grey', linestyle='--', linewidth=1)
            axes.set(xlabel='classes, the worst first', ylabel=what, ylim=(0, 1.02))
            axes.set_xlim(1, len(order))
        save_figure(figure, path)
    if many:
        return (
            f'Left the {BARS} classes with the lowest {what}; right all {len(order)}, with their '
            'mean dashed.'
        )
    return f'The class with the lowest {what} is on top.'
