"""Maps of a segmentor's uncertainty beside maps of its errors."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps

from ..figures.picture_grid import Row, Tile, draw_grid
from ..figures.style import save_picture, shrunk
from ..measures.pixels import entropy
from ..subject import Subject
from .painting import error_marks, painted
from .sample import Sample

SHOWN = 5  # pictures
SIDE = 480  # pixels of a map at most


class UncertaintyMaps:
    """Entropy of some pictures, spread over those that come.

    Args:
        subject: What is analysed.
        number: How many pictures will come.
    """

    def __init__(self, subject: Subject, number: int):
        self.subject = subject
        self.chosen = set(np.linspace(0, number - 1, min(SHOWN, number)).astype(int).tolist())
        self.seen = 0
        self.maps: list[tuple[int, np.ndarray, np.ndarray | None]] = []

    def add(self, sample: Sample) -> None:
        """Keep the maps of a picture, smaller, if it is one of the chosen."""
        if self.seen in self.chosen:
            wrong = None
            if sample.truth is not None:
                marks = error_marks(sample.prediction, sample.truth)
                wrong = shrunk(marks, SIDE, smooth=False)
            self.maps.append((sample.index, shrunk(entropy(sample.probabilities), SIDE), wrong))
        self.seen += 1

    @property
    def highest(self) -> float:
        """The largest entropy of these images, in nats."""
        return max(float(one.max()) for _, one, _ in self.maps) or 1.0

    @property
    def note(self) -> str:
        errors = any(wrong is not None for _, _, wrong in self.maps)
        return (
            f'Entropy of the probabilities in nats, from 0 (black) to {self.highest:.2f} (yellow); '
            f'the most possible is {np.log(len(self.subject.classes)):.2f}.'
            + ' Errors are red, pixels without a label grey.'
            * errors
        )

    def draw(self, path: Path) -> None:
        """Draw the images, a row for each, to a PNG file."""
        rows = []
        for index, one, wrong in self.maps:
            picture = shrunk(self.subject.picture(index), SIDE)
            colours = 255 * colormaps['inferno'](one / self.highest)[..., :3]
            tiles = [
                Tile(picture, ['image']),
                Tile(colours.round().astype(np.uint8), [f'entropy, at most {one.max():.2f}']),
            ]
            if wrong is not None:
                tiles.append(Tile(painted(picture, wrong), ['errors']))
            rows.append(Row(self.subject.name(index), tiles))
        save_picture(draw_grid(rows, max(len(row.tiles) for row in rows)), path)
