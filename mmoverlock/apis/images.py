"""Pictures in and out: which files are meant, what is in them, and names that are still free."""

import glob
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import mmcv
import numpy as np

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


def read_image(path: Path) -> np.ndarray:
    """The picture as mmcv's pipelines read it: (H, W, 3) uint8, BGR, turned as its EXIF tag says.

    Raises:
        ValueError: naming the file, if it is missing, empty, damaged or no picture.
    """
    try:
        data = path.read_bytes()
        picture = mmcv.imfrombytes(data) if data else None
    except (OSError, cv2.error) as error:
        reason = getattr(error, 'strerror', None) or 'no image, or damaged'
        raise ValueError(f"image '{path}' cannot be read: {reason}") from error
    if picture is None:
        reason = 'no image, or damaged' if data else 'the file is empty'
        raise ValueError(f"image '{path}' cannot be read: {reason}")
    return picture


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
