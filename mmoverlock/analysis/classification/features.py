"""What a classifier's head gets, and how the classes lie in it."""

import numpy as np

from ..figures.points import draw_points
from ..files import save_arrays
from ..measures.embedding import embed
from ..section import Picture, Section
from .base import ClassifierAnalysis

FILE, PLOT = 'features.npz', 'features.png'
POINTS = 1500  # that are drawn, at most
COLOURED = 20  # classes that all have a colour; of more, only:
CHOSEN = 10


def colour_groups(classes: np.ndarray, wrong: np.ndarray, number: int) -> list[int]:
    """The classes that get a colour: all up to 20, else those with most mistakes.

    If there is no mistake, the most frequent ones.

    Args:
        classes: Of the pictures, (N,).
        wrong: Which pictures are classified wrongly, (N,) bool.
        number: Of classes.
    """
    if number <= COLOURED:
        return list(range(number))
    mistakes = np.bincount(classes[wrong], minlength=number)
    counts = np.bincount(classes, minlength=number)
    return sorted(np.lexsort((-counts, -mistakes))[:CHOSEN].tolist())


def sample_points(coloured: np.ndarray, number: int, seed: int = 0) -> np.ndarray:
    """Positions of up to `number` points by chance, rising; up to half of them coloured ones first.

    Args:
        coloured: Which points have a colour, (N,) bool.
        number: At most.
        seed: Of the random numbers.
    """
    order = np.random.default_rng(seed).permutation(len(coloured))
    first = order[coloured[order]][: number // 2]
    rest = order[~np.isin(order, first)][: number - len(first)]
    return np.sort(np.concatenate([first, rest]))


class Features(ClassifierAnalysis):
    """``features.npz`` (features, labels, predicted, files, classes) and ``features.png``."""

    title = 'Features'
    needs = ('sklearn.decomposition', 'sklearn.manifold', 'threadpoolctl')
    needs_labels = False

    def analyze(self) -> Section:
        results, names = self.results, self.results.names
        arrays = dict(
            features=results.features, labels=results.labels, predicted=results.predicted,
            files=[results.file(position) for position in range(len(results))], classes=names,
        )  # fmt: skip
        save_arrays(self.folder / FILE, arrays)
        labelled = results.labelled
        classes = results.labels if labelled else results.predicted
        wrong = results.predicted != classes
        groups = colour_groups(classes, wrong, len(names))
        place = np.full(len(names), -1)
        place[groups] = np.arange(len(groups))
        of_point = place[classes]
        chosen = sample_points(of_point >= 0, POINTS)
        points, method = embed(results.features[chosen])
        draw_points(
            points, of_point[chosen], [names[label] for label in groups], wrong[chosen], method,
            self.folder / PLOT,
        )  # fmt: skip
        note = f'{len(chosen)} of {len(results)} images, coloured by '
        note += 'true class.' if labelled else 'predicted class.'
        if len(names) > len(groups):
            note += f' Of {len(names)} classes the {len(groups)} with most mistakes have colours.'
        return Section(
            self.title,
            {'dimensions': results.features.shape[1], 'images': len(results)},
            [
                f'Features are what the head gets, averaged over positions. {FILE} has them with '
                'labels, predictions and files.'
                + (' Distances between far groups mean little in t-SNE.' if method != 'PCA' else '')
            ],
            pictures=[Picture(f'Features by {method}', PLOT, note)],
            files=[FILE],
        )
