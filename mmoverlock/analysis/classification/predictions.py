"""Pictures to look at: where a classifier is best, worst, least certain, and confidently wrong."""

import numpy as np

from ..figures.picture_grid import Row, Tile, draw_grid
from ..figures.style import save_picture
from ..measures.pixels import entropy
from ..section import Picture, Section, Table
from .base import ClassifierAnalysis

FILE = 'predictions_grid.png'
SHOWN = 6  # pictures of each kind


def choose(scores: np.ndarray, labels: np.ndarray | None, number: int) -> dict[str, list[int]]:
    """Positions of the pictures of each kind, the most extreme first.

    Args:
        scores: Probabilities, (N, C).
        labels: True classes, (N,), or None if they are unknown: then no kind tells right or wrong.
        number: Pictures of each kind, at most.
    """
    top, uncertain = scores.max(1), _first(-entropy(scores.T), number)
    if labels is None:
        return {'most certain': _first(-top, number), 'most uncertain': uncertain}
    own = np.take_along_axis(scores, labels[:, None], 1)[:, 0]
    right = scores.argmax(1) == labels
    return {
        'best': _first(np.where(right, -own, np.inf), number),
        'worst': _first(own, number),
        'most uncertain': uncertain,
        'most confidently wrong': _first(np.where(right, np.inf, -top), number),
    }


def _first(keys: np.ndarray, number: int) -> list[int]:
    """Positions of the lowest keys, without infinite ones."""
    order = np.argsort(keys, kind='stable')[:number]
    return [int(position) for position in order if np.isfinite(keys[position])]


class Predictions(ClassifierAnalysis):
    """``predictions_grid.png``."""

    title = 'Predictions'
    needs_labels = False

    def analyze(self) -> Section:
        results, names = self.results, self.results.names
        labelled = results.labelled
        chosen = choose(results.scores, results.labels if labelled else None, SHOWN)
        notes = {
            'best': 'highest score of the true class',
            'worst': 'lowest score of the true class',
            'most certain': 'highest score',
            'most uncertain': 'highest entropy of the scores',
            'most confidently wrong': 'highest score of a wrong class',
        }
        rows, cells = [], []
        for kind, positions in chosen.items():
            heading = f'{kind[0].upper()}{kind[1:]}: {notes[kind]}'
            tiles = [Tile(results.picture(one), self._lines(one)) for one in positions]
            rows.append(Row(heading if tiles else f'{heading} (no image)', tiles))
            for one in positions:
                label = int(results.predicted[one])
                true = int(results.labels[one]) if labelled else None
                cells.append(
                    [
                        results.file(one), kind, None if true is None else names[true],
                        names[label], float(results.scores[one, label]),
                        None if true is None else float(results.scores[one, true]),
                    ]
                )  # fmt: skip
        save_picture(draw_grid(rows, SHOWN), self.folder / FILE)
        columns = ['file', 'kind', 'true class', 'predicted class', 'its score', 'true score']
        return Section(
            self.title,
            tables=[Table('Chosen images', columns, cells)],
            pictures=[Picture('Predictions', FILE)],
        )

    def _lines(self, position: int) -> list[str]:
        results, names = self.results, self.results.names
        scores, label = results.scores[position], int(results.predicted[position])
        lines = [results.file(position), f'predicted {scores[label]:.1%} {names[label]}']
        if results.labelled:
            true = int(results.labels[position])
            lines.append(f'true {scores[true]:.1%} {names[true]}')
        return lines
