"""Points of a plane, in the colours of their groups."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from .style import name_label, save_figure, style


def draw_points(
    points: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    wrong: np.ndarray,
    method: str,
    path: Path,
) -> None:
    """Draw points of the plane as a PNG, in the colours of their groups.

    Args:
        points: (N, 2).
        groups: Positions in `names`, (N,); -1 for grey ones.
        names: Of at most 20 groups.
        wrong: Which points are crosses, (N,) bool.
        method: That found the points, for the axes.
        path: Of the PNG.
    """
    colours = colormaps['tab10' if len(names) <= 10 else 'tab20'].colors
    labels = [name_label(name) for name in names]
    size = 36 if len(points) < 300 else 16
    with style(''.join(labels)):
        figure = Figure(figsize=(10, 7), layout='constrained')
        axes = figure.subplots()
        for group in range(-1, len(names)):
            colour = 'lightgrey' if group < 0 else colours[group]
            for marker, which in (('o', ~wrong), ('x', wrong)):
                chosen = points[(groups == group) & which]
                axes.scatter(*chosen.T, s=size, color=[colour], marker=marker, linewidths=1.2)
        for group, label in enumerate(labels):
            axes.scatter([], [], s=40, color=[colours[group]], label=label)
        if (groups < 0).any():
            axes.scatter([], [], s=40, color='lightgrey', label='other classes')
        if wrong.any():
            axes.scatter([], [], s=40, color='black', marker='x', label='classified wrongly')
        axes.set(xlabel=f'{method}, first dimension', ylabel=f'{method}, second dimension')
        axes.grid(False)
        axes.set(xticks=[], yticks=[])
        figure.legend(loc='outside right upper')
        save_figure(figure, path)
