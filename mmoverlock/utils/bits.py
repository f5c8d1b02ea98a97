"""Pictures of 16 bits per channel, brought to 8 by the depth that their values really have."""

from typing import Any

import numpy as np

from .errors import ImageError

KEY = 'image_bits'  # of configs
FULL = 15  # bits; values that need as many are taken for 16-bit ones


def checked_bits(bits: Any) -> int:
    """Return `bits`; ValueError unless it is a number from 8 to 16."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 8 <= bits <= 16:
        raise ValueError(f'{KEY}={bits!r} is not a whole number from 8 to 16')
    return bits


def to_8_bits(image: np.ndarray, bits: int | None, name: str) -> np.ndarray:
    """The upper 8 of an image's `bits` bits; uint8 images as they are.

    Args:
        image: (H, W) or (H, W, C), uint8 or uint16.
        bits: Those of uint16 images, 8 to 16. None: 16, but only if the values go that far.
        name: Of the image, for messages.

    Raises:
        ImageError: the image has another dtype, larger values, or 16 bits that are not used.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise ImageError(f'{name} holds {image.dtype} numbers: convert it to 8 or 16 bits')
    largest = int(image.max(initial=0))
    if bits is None and 0 < largest.bit_length() < FULL:
        raise ImageError(f'{name} holds 16-bit values up to {largest}: {choose(largest)}')
    if largest.bit_length() > (bits or 16):
        raise ImageError(f'{name} holds values up to {largest}, more than {KEY}={bits} allows')
    return (image >> ((bits or 16) - 8)).astype(np.uint8)


def choose(largest: int) -> str:
    """What to do about 16-bit images with values up to `largest`."""
    bits = next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)
    return (
        f'only the upper 8 of 16 bits would be used; say {KEY}={bits} in the config, or '
        f'{KEY}=16 to use these'
    )
