"""Features in two dimensions: principal components, then t-SNE."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from .extras import extra
from .figures import name_label, save_figure, style

COMPONENTS = 50  # that t-SNE gets, as its authors advise
FEW = 50  # below so many points there are no neighbourhoods to show
PERPLEXITY = 30


def embed(features: np.ndarray) -> tuple[np.ndarray, str]:
    """Points in the plane, and the method: 'PCA', or 't-SNE' of 50 points or more.

    t-SNE is scikit-learn's (van der Maaten and Hinton 2008), of the first 50 principal components,
    seeded and begun from the first two.

    Args:
        features: (N, D).

    Returns:
        (N, 2), and the name.
    """
    number, size = features.shape
    decomposition = extra('sklearn.decomposition')
    reduced = np.zeros((number, 2), np.float32)
    components = min(COMPONENTS, number, size)
    if np.ptp(features, 0).any():
        model = decomposition.PCA(components, random_state=0)
        found = model.fit_transform(features.astype(np.float64)).astype(np.float32)
        reduced = found if components > 1 else np.hstack([found, reduced[:, 1:]])
    if number < FEW or not np.ptp(reduced, 0).any():
        return reduced[:, :2], 'PCA'
    manifold = extra('sklearn.manifold')
    perplexity = min(PERPLEXITY, number / 4)
    model = manifold.TSNE(2, perplexity=perplexity, init='pca', random_state=0)
    with extra('threadpoolctl').threadpool_limits(1):  # of so few points more threads only wait
        return model.fit_transform(reduced), 't-SNE'


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
