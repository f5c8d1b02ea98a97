"""Images of more than 8 bits per channel, read by the depth that their values really have.

OpenCV keeps the upper 8 of a file's 16 bits. Of a 12-bit camera's values, which 16-bit files hold,
that leaves 0 to 15. ``image_bits = 12`` in a config keeps the upper 8 of 12 bits instead, in
training, testing and inference alike.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.image.io import imread_flags
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS
from PIL import Image

from mmoverlock.utils.bits import FULL, KEY, checked_bits, choose, to_8_bits
from mmoverlock.utils.config import walk

_EVEN = ('.jpg', '.jpeg', '.webp', '.gif', '.bmp')  # kinds of 8 bits
_HEADERS, _DECODED = 200, 32  # files of a data set that are looked at
_PNG_DEPTH = 24  # the byte that holds the bits per channel
_BITS_PER_SAMPLE = 258  # TIFF's tag
_TO_8_BITS = ('color', 'grayscale', 'color_ignore_orientation', 'grayscale_ignore_orientation')


@TRANSFORMS.register_module()
class DeepLoadImageFromFile(LoadImageFromFile):
    """Like mmcv's LoadImageFromFile, but files of 16 bits give the upper 8 of `bits` bits.

    Files of 8 bits are read as ever. What a config's ``image_bits`` puts in the place of
    LoadImageFromFile.

    Args:
        bits: That the values have, 8 to 16.

    Raises:
        ValueError: `bits` or the backend is not allowed.
        ImageError: when an image is read whose values need more bits, or are no whole numbers.
    """

    def __init__(self, bits: int, **options: Any) -> None:
        super().__init__(**options)
        if self.imdecode_backend != 'cv2' or self.color_type not in _TO_8_BITS:
            raise ValueError(
                f'{KEY}={bits} works with imdecode_backend=cv2 and color_type={_TO_8_BITS[0]} or '
                f"grayscale, not '{self.imdecode_backend}' and '{self.color_type}'"
            )
        self.bits = checked_bits(bits)
        self.color_type = imread_flags[self.color_type] | cv2.IMREAD_ANYDEPTH
        self.floats, self.to_float32 = self.to_float32, False

    def transform(self, results: dict) -> dict | None:
        results = super().transform(results)
        if results is not None:
            image = to_8_bits(results['img'], self.bits, f"image '{results['img_path']}'")
            results['img'] = image.astype(np.float32) if self.floats else image
        return results


def use_image_bits(cfg: Config) -> None:
    """Let all pipelines of a config that says ``image_bits`` read images of that depth.

    Raises:
        ValueError: it is no number from 8 to 16.
    """
    if cfg.get(KEY) is None:
        return
    bits = checked_bits(cfg[KEY])
    for _, part in walk(cfg._cfg_dict):
        kind = part.get('type')
        if kind is LoadImageFromFile or (
            isinstance(kind, str) and kind.rpartition('.')[2] == LoadImageFromFile.__name__
        ):
            part['type'] = DeepLoadImageFromFile.__name__
        if part.get('type') == DeepLoadImageFromFile.__name__:
            part['bits'] = bits


def check_image_bits(dataset: Any, key: str) -> None:
    """Look at images spread over a data set, and refuse 16-bit ones that do not use their bits.

    A log line tells of those that do.

    Args:
        dataset: Of OpenMMLab's, built.
        key: Its name in the config.

    Raises:
        ValueError: naming an image and the config's key that says what to do.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    load = next((step for step in steps if isinstance(step, LoadImageFromFile)), None)
    bits = getattr(load, 'bits', None)
    if load is None or bits is None and load.color_type not in _TO_8_BITS:
        return
    if load.imdecode_backend not in ('cv2', 'pillow') or not hasattr(dataset, 'get_data_info'):
        return
    looked = range(0, len(dataset), max(1, -(-len(dataset) // _HEADERS)))
    paths = [dataset.get_data_info(index).get('img_path') for index in looked]
    deep = [path for path in paths if path and is_deep(path)]
    step = max(1, -(-len(deep) // _DECODED))
    found = {path: _largest(path) for path in deep[::step]}
    largest = max(found, key=found.get, default=None)
    if not found.get(largest):
        return
    where, value = f"{key}: '{largest}'", found[largest]
    if bits is not None:
        if value.bit_length() > bits:
            raise ValueError(f'{where} holds values up to {value}, more than {KEY}={bits} allows')
    elif load.imdecode_backend == 'pillow':
        raise ValueError(
            f"{where} has 16 bits per channel, which imdecode_backend='pillow' cuts off at 255: "
            f"use 'cv2'"
        )
    elif value.bit_length() < FULL:
        number = f'{len(deep)} of {len(paths)} images looked at have 16 bits per channel'
        raise ValueError(
            f"{key}: {number}, with values up to {value} ('{largest}'): {choose(value)}"
        )
    else:
        print_log(
            f'{key}: images have 16 bits per channel; the upper 8 are used ({KEY}=16)',
            logger='current',
        )


def is_deep(path: str) -> bool:
    """Whether a file's header tells of more than 8 bits per channel."""
    if Path(path).suffix.lower() in _EVEN or not Path(path).is_file():
        return False
    try:
        with Image.open(path) as image:
            if image.format == 'PNG':
                with open(path, 'rb') as file:
                    return file.read(_PNG_DEPTH + 1)[_PNG_DEPTH] > 8
            depths = getattr(image, 'tag_v2', {}).get(_BITS_PER_SAMPLE, (8,))
            return image.mode.startswith('I') or max(_numbers(depths)) > 8
    except Exception:  # every decoder has its own; the image guard names what cannot be read
        return False


def _numbers(value: Any) -> Iterable[int]:
    return value if isinstance(value, tuple) else (value,)


def _largest(path: str) -> int:
    """An image's largest value; 0 if it cannot be decoded, or holds no whole numbers."""
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16:
        return 0
    return int((image[..., :3] if image.ndim == 3 else image).max(initial=0))  # without alpha
