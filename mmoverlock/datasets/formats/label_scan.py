"""What is in a picture and in its label image.

mmseg's ``LoadAnnotations`` takes the values of a label image as they are stored, without colours,
and turns no label image by an EXIF tag, while OpenCV turns the pictures.
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmoverlock.utils.errors import why_unreadable

from ..exif import orientation_of
from .class_table import Colour

_SURE = ('JPEG', 'MPO', 'PNG', 'BMP', 'PPM')  # OpenCV reads all of what Pillow reads
_MAX_COLOURS = 4096  # in one label image


@dataclass(slots=True)
class Scan:
    """What is in a picture and its label image.

    Attributes:
        problem: Why the two cannot be used, after the file's name; the rest is then not set.
        counts: Pixels of each value. Of a colour image, of each colour as a number 0xRRGGBB.
        is_colour: Whether the label image has three channels.
        palette: Of a palette image, the colour of each value that occurs.
        usable: Whether training reads the file as it is, if the values are labels.
        turn: The EXIF orientation that the label image lacks and its picture has, else 1.
        unsure: Whether it cannot be told if the label image is turned as the picture.
        animated: Whether the picture has more frames than the one that is used.
    """

    problem: str = ''
    counts: dict[int, int] = field(default_factory=dict)
    is_colour: bool = False
    palette: dict[int, Colour] = field(default_factory=dict)
    usable: bool = False
    turn: int = 1
    unsure: bool = False
    animated: bool = False


def scan(files: tuple[Path, Path]) -> Scan:
    """Decode a picture and its label image."""
    picture, label = files
    found = Scan()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of odd metadata, and of large images
        path = picture
        try:
            size, orientation = _look_at_picture(picture, found)
            path = label
            _look_at_label(label, found, size, orientation)
        except _Unfit as error:
            return Scan(f"'{path}': {error}")
        except Exception as error:  # every decoder has its own
            return Scan(f"'{path}': {_why(path, error)}")
    return found


class _Unfit(ValueError):
    """A file that can be decoded, but not used."""


def _why(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return 'it has too many pixels'
    return 'it is cut short' if 'truncated' in str(error) else why_unreadable(str(path), error)


def _look_at_picture(path: Path, found: Scan) -> tuple[tuple[int, int], int]:
    """The size as stored, and the EXIF orientation."""
    with Image.open(path) as image:
        size, kind, mode = image.size, image.format, image.mode
        orientation = orientation_of(image)
        frames = getattr(image, 'n_frames', 1) if kind != 'MPO' else 1  # a phone's preview
        found.animated = frames > 1
        if mode in ('F', 'I'):
            raise _Unfit('it has 32 bits a channel: pictures of 8 or 16 bits can be used')
        image.draft('RGB', (1, 1))  # decodes a JPEG to its end, but to an eighth of its size
        image.load()
    if kind not in _SURE and cv2.imread(str(path), cv2.IMREAD_COLOR) is None:
        raise _Unfit(f'OpenCV cannot decode this kind of {kind}')
    return size, orientation


def _look_at_label(path: Path, found: Scan, stored: tuple[int, int], orientation: int) -> None:
    with Image.open(path) as image:
        if image.format in ('JPEG', 'MPO', 'WEBP'):
            raise _Unfit(
                f'{image.format} changes the values of a label image, PNG is needed: '
                'export the label images as PNG files'
            )
        if getattr(image, 'n_frames', 1) > 1:
            raise _Unfit(f'a label image of {image.n_frames} frames cannot be used')
        found.usable = image.format == 'PNG' and image.mode in ('L', 'P')
        size = image.size
        _count(image, found)
    shown = stored[::-1] if orientation >= 5 else stored
    if size == shown:
        found.unsure = orientation > 1 and size == stored
    elif size == stored:
        found.turn = orientation
    else:
        width, height = shown
        turned = ', turned by its EXIF tag' if orientation >= 5 else ''
        raise _Unfit(f'{size[0]} x {size[1]} pixels, its picture has {width} x {height}{turned}')


def _count(image: Image.Image, found: Scan) -> None:
    if image.mode in ('RGB', 'RGBA', 'CMYK', 'RGBX'):
        found.is_colour = True
        colours = image.convert('RGB').getcolors(_MAX_COLOURS)
        if colours is None:
            raise _Unfit(f'more than {_MAX_COLOURS} colours: this is no label image')
        found.counts = {packed(colour): number for number, colour in sorted(colours)}
        return
    values = label_values(image)
    if values.dtype == np.uint8:
        counts = np.bincount(values.ravel())
        found.counts = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    else:
        unique, counts = np.unique(values, return_counts=True)
        found.counts = dict(zip(unique.tolist(), counts.tolist(), strict=True))
    if image.mode == 'P':
        flat = image.getpalette('RGB') or []
        found.palette = {
            value: tuple(flat[3 * value : 3 * value + 3])
            for value in found.counts
            if 3 * value + 3 <= len(flat)
        }


def label_values(image: Image.Image) -> np.ndarray:
    """The values of an image of one channel, (H, W): uint8 or a larger integer type."""
    values = np.asarray(image.getchannel(0) if image.mode in ('LA', 'PA') else image)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == 'f':
        whole = values.astype(np.int64)
        if not np.array_equal(whole, values):
            odd = values[~(whole == values)][0]
            raise _Unfit(f'value {odd:g}: whole numbers are needed')
        return whole
    return values


def packed(colour: Colour) -> int:
    """A colour as the number 0xRRGGBB."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue
