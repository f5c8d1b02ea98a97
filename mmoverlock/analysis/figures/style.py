"""Pictures of the analyses: one look, written whole."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from mmoverlock.utils.files import write_whole
from mmoverlock.visualization.fonts import drawable, families

DPI = 110


@contextmanager
def style(text: str = '') -> Iterator[None]:
    """Matplotlib's settings of all figures, with fonts that have the characters of `text`."""
    with rc_context({'font.family': families(text), 'axes.grid': True, 'grid.alpha': 0.3}):
        yield


def name_label(name: str, limit: int = 20) -> str:
    """A name as it goes into a figure: without what no font has, cut to `limit` characters."""
    name = drawable(name.replace('$', r'\$'))  # or else it begins a formula
    return name if len(name) <= limit else f'{name[: limit - 1].rstrip()}…'


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    data = io.BytesIO()
    figure.savefig(data, format='png', dpi=DPI)
    write_whole(path, data.getvalue())


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 in RGB as PNG."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format='png')
    write_whole(path, data.getvalue())


def shrunk(picture: np.ndarray, side: int, smooth: bool = True) -> np.ndarray:
    """A picture or map (H, W, ...), made smaller if a side has more than `side` pixels.

    Args:
        picture: Of a type that OpenCV resizes.
        side: The most pixels.
        smooth: Take means of pixels; else, for labels, single ones.
    """
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = [max(1, round(scale * pixels)) for pixels in picture.shape[1::-1]]
    method = cv2.INTER_AREA if smooth else cv2.INTER_NEAREST
    return cv2.resize(picture, size, interpolation=method)
