"""Pictures in and out: which files are meant, what is in them, and names that are still free."""

import glob
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from mmoverlock.utils.bits import to_8_bits
from mmoverlock.utils.errors import image_limit

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')


def find_images(images: str | os.PathLike | Iterable[str | os.PathLike]) -> list[Path]:
    """The files that `images` names, each once, in the order of naming.

    Args:
        images: One or several of: a file, a folder (the pictures in it, not below it), a glob
            pattern (``**`` goes through folders), which finds videos, too. A name that is none of
            these is kept: reading it tells that it does not exist.

    Raises:
        ValueError: if a folder holds no picture, or a pattern matches none.
    """
    if isinstance(images, (str, os.PathLike)):
        images = [images]
    found: dict[Path, Path] = {}
    for one in map(str, images):
        if os.path.isdir(one):
            paths, suffixes = Path(one).iterdir(), SUFFIXES
            what = f"folder '{one}' holds no image"
        elif glob.has_magic(one) and not os.path.exists(one):
            paths = map(Path, glob.glob(one, recursive=True))
            suffixes = (*SUFFIXES, *VIDEO_SUFFIXES)
            what = f"pattern '{one}' matches no image"
        else:
            found.setdefault(Path(one).absolute(), Path(one))
            continue
        files = [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
        if not files:
            raise ValueError(f'{what} ({", ".join(suffixes)})')
        for path in sorted(files, key=str):
            found.setdefault(path.absolute(), path)
    return list(found.values())


def read_image(path: Path, bits: int | None = None, turn: bool = True) -> np.ndarray:
    """The picture as training reads it: (H, W, 3) uint8, BGR, of several frames the first.

    Alpha is left out: the colours below it count.

    Args:
        path: Of the file.
        bits: That the values of 16-bit files have, the config's ``image_bits``.
        turn: Whether the picture is turned as its EXIF tag says.

    Raises:
        ValueError: naming the file, if it is missing, empty, damaged, no picture or too large, or
            if it has 16 bits of which the values do not use the upper ones, or 32.
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    picture = None
    try:
        data = path.read_bytes()
        if data:
            flags |= 0 if turn else cv2.IMREAD_IGNORE_ORIENTATION
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (OSError, cv2.error) as error:
        reason = getattr(error, 'strerror', None) or image_limit(path, error)
        reason = reason or 'no image, or damaged'
        raise ValueError(f"image '{path}' cannot be read: {reason}") from error
    if picture is None:
        reason = (image_limit(path) or 'no image, or damaged') if data else 'the file is empty'
        raise ValueError(f"image '{path}' cannot be read: {reason}")
    return to_8_bits(picture, bits, f"image '{path}'")


def as_picture(image: np.ndarray, bits: int | None = None) -> np.ndarray:
    """An array as a picture (H, W, 3) uint8 in BGR.

    Grey arrays, (H, W) and (H, W, 1), get three equal channels; of (H, W, 4), alpha is left out.
    Arrays of uint16 are treated like files of 16 bits. Nothing else is guessed.

    Raises:
        ValueError: naming the array's shape and dtype.
    """
    found = f'an array of shape {image.shape} and dtype {image.dtype}'
    if image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3, 4):
        raise ValueError(
            f'{found} is no picture: (H, W, 3) in BGR, (H, W, 4), (H, W, 1) or (H, W) is needed'
        )
    if 0 in image.shape:
        raise ValueError(f'{found} has no pixels')
    if image.dtype not in (np.uint8, np.uint16):
        values = (
            f', values {image.min():g} to {image.max():g},' if image.dtype.kind in 'iuf' else ''
        )
        hint = ' (of values from 0 to 1: (255 * image).round().astype(numpy.uint8))'
        raise ValueError(
            f'{found}{values} is no picture: uint8 with values from 0 to 255 is needed'
            + (hint if image.dtype.kind == 'f' else '')
        )
    image = image[..., None] if image.ndim == 2 else image[..., :3]
    image = to_8_bits(image, bits, found)
    return np.ascontiguousarray(image.repeat(3, 2) if image.shape[2] == 1 else image)


def new_file(folder: Path, name: str) -> Path:
    """Create `folder`/`name`, or ``stem_1.suffix``, ``stem_2.suffix``, ... where that exists."""
    stem, suffix = os.path.splitext(name)
    for number in itertools.count():
        path = folder / (f'{stem}_{number}{suffix}' if number else name)
        try:
            path.touch(exist_ok=False)
            return path
        except FileExistsError:
            continue
