"""What image files are: their size and kind, whether they can be decoded, which are the same."""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from PIL import Image

from mmoverlock.utils.errors import why_unreadable

from .exif import orientation_of
from .parallel import in_parallel

_MODES = {
    '1': 'grey', 'L': 'grey', 'LA': 'grey', 'I': '16-bit', 'F': '32-bit', 'CMYK': 'CMYK',
    'P': 'palette', 'PA': 'palette',
}  # fmt: skip
_PNG_DEPTH = 24  # the byte that holds the bits per channel


@dataclass(frozen=True)
class ImageFacts:
    """An image file.

    Attributes:
        path: As given.
        width: In pixels, turned as training turns it; 0 if it cannot be decoded.
        height: Likewise.
        kinds: What is unusual: 'grey', '16-bit', '32-bit', 'CMYK', 'palette', 'transparent',
            'several frames' (animated, pages), 'turned by EXIF'.
        digest: Of its bytes: the same for the same files; empty if it cannot be decoded.
        problem: Why it cannot be decoded.
    """

    path: str
    width: int = 0
    height: int = 0
    kinds: tuple[str, ...] = ()
    digest: bytes = b''
    problem: str | None = None


def read_facts(
    paths: Sequence[str], title: str, ignore_orientation: bool = False
) -> list[ImageFacts]:
    """Decode images in parallel; of thousands, with a progress bar called `title`."""
    look = partial(look_at, ignore_orientation=ignore_orientation)
    return in_parallel(look, paths, f'decode {title}')


def look_at(path: str, ignore_orientation: bool = False) -> ImageFacts:
    """Decode an image file to its end with Pillow, and with OpenCV, which training uses."""
    try:
        with open(path, 'rb') as file:
            data = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of odd metadata
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                turn = orientation_of(image)
                kinds = _kinds(image, data)
                width, height = image.size
    except Exception as error:  # every decoder has its own
        cut = 'truncated' in str(error).lower()
        why = 'it is cut short' if cut else why_unreadable(path, error)
        return ImageFacts(path, problem=why)
    if not _opencv_decodes(data, reduced=image.format == 'JPEG' and min(width, height) >= 64):
        kind = f'{image.format} of {", ".join(kinds)}' if kinds else image.format
        return ImageFacts(path, problem=f'OpenCV cannot decode it ({kind})')
    if turn != 1:
        kinds = (*kinds, 'turned by EXIF')
        if turn >= 5 and not ignore_orientation:
            width, height = height, width
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return ImageFacts(path, width, height, kinds, digest)


def _kinds(image: Image.Image, data: bytes) -> tuple[str, ...]:
    mode = '16-bit' if image.mode.startswith('I;16') else _MODES.get(image.mode)
    kinds = [mode] if mode else []
    if image.format == 'PNG' and data[_PNG_DEPTH] == 16 and mode != '16-bit':
        kinds.append('16-bit')  # which Pillow has made 8-bit
    if image.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa') or 'transparency' in image.info:
        kinds.append('transparent')
    if getattr(image, 'n_frames', 1) > 1 and image.format != 'MPO':  # MPO: a phone's two lenses
        kinds.append('several frames')
    return tuple(kinds)


def _opencv_decodes(data: bytes, reduced: bool) -> bool:
    """Whether OpenCV can; `reduced` to an eighth of the size, which is fast for JPEG files."""
    flag = cv2.IMREAD_REDUCED_COLOR_8 if reduced else cv2.IMREAD_COLOR
    level = cv2.setLogLevel(0)  # silent: what is wrong is told here
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag) is not None
    except cv2.error:  # such as more than 2^30 pixels
        return False
    finally:
        cv2.setLogLevel(level)


def repeated(facts: Sequence[ImageFacts]) -> list[list[ImageFacts]]:
    """Groups of files with the same bytes, of two and more, in the order given."""
    groups: dict[bytes, list[ImageFacts]] = {}
    for one in facts:
        if one.digest:
            groups.setdefault(one.digest, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def relative(path: str, root: str | os.PathLike) -> str:
    """The path from `root` on, for messages; as it is if it lies elsewhere."""
    found = os.path.relpath(path, root)
    return str(path) if found.startswith('..') else found
