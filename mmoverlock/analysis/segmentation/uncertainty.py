"""Maps of a segmentor's uncertainty beside maps of its errors."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from mmoverlock.visualization.fonts import drawable

from ..figures.style import save_figure, style
from ..measures.label_maps import IGNORED
from ..measures.pixels import entropy
from ..subject import Subject
from .painting import painted
from .sample import Sample

SHOWN = 5  # pictures
SIDE = 480  # pixels of a map at most
WIDTH, TALLEST = 3.1, 1.4  # inches of a map, and its height at most, as a multiple of the width


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
                errors = np.where(sample.truth == sample.prediction, 0, 1)
                marks = np.where(sample.truth == IGNORED, 2, errors).astype(np.uint8)
                wrong = fitted(marks, cv2.INTER_NEAREST)
            self.maps.append((sample.index, fitted(entropy(sample.probabilities)), wrong))
        self.seen += 1

    @property
    def note(self) -> str:
        labelled = any(wrong is not None for _, _, wrong in self.maps)
        errors = ' Errors are red, pixels without a label grey.' if labelled else ''
        return f'Entropy of the probabilities: bright where the model is uncertain.{errors}'

    def draw(self, path: Path) -> None:
        """Draw the pictures, a row for each, to a PNG file."""
        columns = 3 if any(wrong is not None for _, _, wrong in self.maps) else 2
        pictures = [fitted(self.subject.picture(index)) for index, *_ in self.maps]
        names = [drawable(self.subject.name(index)) for index, *_ in self.maps]
        highest = max(float(one.max()) for _, one, _ in self.maps) or 1.0
        heights = [WIDTH * min(one.shape[0] / one.shape[1], TALLEST) + 0.35 for one in pictures]
        with style(''.join(names)):
            size = (WIDTH + 0.1) * columns, sum(heights) + 0.8
            figure = Figure(figsize=size, layout='constrained')
            grid = figure.subplots(len(pictures), columns, squeeze=False, height_ratios=heights)
            for axes in grid.flat:
                axes.axis('off')
            for row, picture, name, (_, one, wrong) in zip(
                grid, pictures, names, self.maps, strict=True
            ):
                row[0].imshow(picture)
                row[0].set_title(name if len(name) < 40 else f'…{name[-38:]}', fontsize=9)
                shown = row[1].imshow(one, cmap='inferno', vmin=0, vmax=highest)
                row[1].set_title('entropy', fontsize=9)
                if wrong is not None:
                    row[2].imshow(painted(picture, wrong))
                    row[2].set_title('errors', fontsize=9)
            bar = figure.colorbar(
                shown, ax=grid.ravel().tolist(), location='bottom', shrink=0.6, aspect=40, pad=0.01
            )
            bar.set_label(
                f'entropy in nats; the most possible is {np.log(len(self.subject.classes)):.2f}'
            )
            save_figure(figure, path)


def fitted(picture: np.ndarray, method: int = cv2.INTER_AREA) -> np.ndarray:
    """A picture (H, W, ...) with no side over 480 pixels."""
    scale = SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = [max(1, round(scale * side)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=method)
