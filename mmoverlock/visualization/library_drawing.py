"""What the libraries' visualizers lack: names in every script, and a file for each picture.

mmdet and mmpretrain draw text with a font that has no CJK, Thai or Indic characters, mmseg with one
that has ASCII alone. All three call files by the pictures' names, without their folders.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw

from mmoverlock.utils.files import removed_on_error

from .fonts import Font, is_plain

_DRAWING = ('add_datasample', 'visualize_cls')  # mmdet's and mmseg's; mmpretrain's
_POINT = 72  # of an inch


def folders_of(paths: Iterable[str]) -> dict[str, str]:
    """Where the drawings of pictures go: by path, a folder below that for drawings.

    It is empty if all pictures have different names, no matter the case. Else it has the pictures'
    own folders, from the one on that holds them all.
    """
    paths = list(dict.fromkeys(paths))
    names = Counter(os.path.basename(path).casefold() for path in paths)
    if len(names) == len(paths):
        return {}
    root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    return {path: os.path.relpath(os.path.dirname(path), root) for path in paths}


def adapt(
    visualizer: Visualizer,
    folders: Mapping[str, str],
    read: Callable[[Path], np.ndarray] | None = None,
) -> None:
    """Give a library's visualizer what it lacks.

    Args:
        visualizer: Changed in place; of mmdet, mmseg or mmpretrain.
        folders: As of :func:`folders_of`.
        read: Returns the picture of a file, (H, W, 3) uint8 in BGR, in place of what mmdet's and
            mmseg's hooks read.
    """
    visualizer.get_image = functools.partial(_get_image, visualizer, visualizer.get_image)
    if hasattr(visualizer, '_draw_sem_seg') and hasattr(visualizer, '_get_center_loc'):
        labels = functools.partial(_draw_sem_seg, visualizer, visualizer._draw_sem_seg)
        visualizer._draw_sem_seg = labels
    for name in _DRAWING:
        draw = getattr(visualizer, name, None)
        if isinstance(draw, MethodType):
            setattr(visualizer, name, functools.partial(_draw, visualizer, draw, folders, read))


def _draw(
    visualizer: Visualizer,
    draw: Callable[..., Any],
    folders: Mapping[str, str],
    read: Callable[[Path], np.ndarray] | None,
    *arguments: Any,
    **options: Any,
) -> Any:
    """Draw a sample, into the folder that it belongs to."""
    path = options['data_sample'].get('img_path') or ''
    if read and path and len(arguments) == 2:  # name and picture
        arguments = arguments[0], read(Path(path))[..., ::-1]
    folder = folders.get(path, '')
    if options.get('out_file'):
        place, name = os.path.split(options['out_file'])
        options['out_file'] = os.path.join(place, folder, name)
    elif arguments:  # mmseg's; its backend would not notice a full disk
        for backend in visualizer._vis_backends.values():
            if hasattr(backend, '_img_save_dir'):
                name = f'{arguments[0]}_{options.get("step", 0)}.png'
                options['out_file'] = os.path.join(backend._img_save_dir, folder, name)
    if not options.get('out_file'):
        return draw(*arguments, **options)
    with removed_on_error(options['out_file']):
        return draw(*arguments, **options)


def _get_image(visualizer: Visualizer, get_image: Callable[[], np.ndarray]) -> np.ndarray:
    """The picture (H, W, 3) in RGB with all text, of which ours is what matplotlib cannot draw."""
    texts = [text for text in visualizer.ax_save.texts if not is_plain(text.get_text())]
    for text in texts:
        text.set_visible(False)
    picture = get_image()
    if not texts:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    for text in texts:
        size = max(1, round(text.get_fontsize() * visualizer.dpi / _POINT))
        box = text.get_bbox_patch()
        back = None if box is None else _bytes(box.get_facecolor())
        opacity = 1.0 if box is None else box.get_alpha() or 1.0
        ink, place = _bytes(text.get_color()), text.get_position()
        middle = text.get_horizontalalignment() == 'center'
        upward = text.get_verticalalignment() == 'bottom'
        put_text(image, place, text.get_text(), size, ink, back, opacity, middle, upward)
    return np.asarray(image)


def put_text(
    image: Image.Image,
    place: tuple[float, float],
    text: str,
    size: int,
    ink: tuple[int, ...],
    back: tuple[int, ...] | None = None,
    opacity: float = 1.0,
    middle: bool = False,
    upward: bool = False,
) -> None:
    """Write lines of text into a picture, with their first corner at `place`, but inside of it.

    Args:
        image: RGB, changed in place.
        place: x, y in pixels.
        text: Lines.
        size: Of the font, in pixels.
        ink: Colour of the text.
        back: Colour behind it.
        opacity: Of `back`.
        middle: The text is centred on x.
        upward: The text ends at y.
    """
    font, lines = Font(size), text.split('\n')
    line, margin = 1.25 * size, size / 4
    width = max(map(font.getlength, lines)) + 2 * margin
    height = line * len(lines)
    x = place[0] - (width / 2 if middle else margin)
    y = place[1] - (height if upward else 0)
    x = min(max(x, 0), max(image.width - width, 0))
    y = min(max(y, 0), max(image.height - height, 0))
    if back is not None:
        box = tuple(map(round, (x, y, x + width, y + height)))
        under = image.crop(box)
        image.paste(Image.blend(under, Image.new('RGB', under.size, back), opacity), box[:2])
    draw = ImageDraw.Draw(image)
    for number, part in enumerate(lines):
        font.draw(draw, (x + margin, y + line * (number + 0.5)), part, ink)


def _draw_sem_seg(
    visualizer: Visualizer,
    draw: Callable[..., np.ndarray],
    image: np.ndarray,
    sem_seg: Any,
    classes: Any,
    palette: Any,
    with_labels: bool = True,
) -> np.ndarray:
    """mmseg's, with names that are not ASCII in place of question marks."""
    labels = sem_seg.cpu().numpy().data[0]
    found = [label for label in np.unique(labels).tolist() if label < len(classes)]
    if not with_labels or all(classes[label].isascii() for label in found):
        return draw(image, sem_seg, classes, palette, with_labels)
    canvas = Image.fromarray(draw(image, sem_seg, classes, palette, False))
    size = max(11, min(image.shape[:2]) // 25)
    for label in found:
        place = visualizer._get_center_loc((labels == label).astype(np.uint8))
        back = tuple(int(part) for part in palette[label])
        put_text(canvas, tuple(map(int, place)), classes[label], size, (255, 255, 255), back)
    drawn = np.array(canvas)
    visualizer.set_image(drawn)
    return drawn


def _bytes(colour: Any) -> tuple[int, ...]:
    """A colour of matplotlib's as 0 to 255."""
    return tuple(round(255 * part) for part in to_rgb(colour))
