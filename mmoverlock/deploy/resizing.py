"""Resizing in the exported graph, as OpenCV and Pillow do it to pictures of 8 bits."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmoverlock.runtime.spec import Resize

from .exportable import Size

# OpenCV samples at half-pixel centres without antialiasing, Pillow with it.
MODES = {
    ('cv2', 'nearest'): dict(mode='nearest'),
    ('cv2', 'bilinear'): dict(mode='bilinear', align_corners=False),
    ('pillow', 'bilinear'): dict(mode='bilinear', align_corners=False, antialias=True),
    ('pillow', 'bicubic'): dict(mode='bicubic', align_corners=False, antialias=True),
}


def check_resize(step: Resize) -> None:
    """Raise ValueError unless :func:`resize` can do it."""
    if (step.library, step.interpolation) not in MODES:
        allowed = ', '.join(f'{kind} of {library}' for library, kind in MODES)
        raise ValueError(
            f"preprocess='resize': {step.interpolation} interpolation of {step.library} cannot be "
            f'inside: {allowed} can; or leave resizing outside'
        )


def resized(step: Resize, size: Size) -> Size:
    """Height and width after the step of a picture of `size`, whole numbers or symbols of them."""
    height, width = size
    edge = step.size[0]
    if step.mode == 'exact':
        return step.size
    if step.mode == 'multiple':
        return height + -height % edge, width + -width % edge
    short, long = least(height, width), greatest(height, width)
    if step.mode == 'inside':  # as large as both bounds allow, rounded as mmcv does
        bounds = (min(step.size), short), (max(step.size), long)
        return tuple(_scaled(old, *bounds) for old in size)
    of = dict(short_edge=short, long_edge=long, width=width, height=height)[step.mode]
    return height * edge // of, width * edge // of


def _scaled(edge: int, *ratios: tuple[int, int]) -> int:
    """An edge times the least of the ratios a / b, rounded; in whole numbers, for the graph."""
    one, other = ((2 * edge * a + b) // (2 * b) for a, b in ratios)
    return least(one, other)


def least(a: int, b: int) -> int:
    """The smaller size: of numbers, of torch.export's symbols or of torch.jit.trace's tensors."""
    return _either(torch.minimum, torch.sym_min, a, b)


def greatest(a: int, b: int) -> int:
    """The larger size."""
    return _either(torch.maximum, torch.sym_max, a, b)


def _either(of_tensors: Callable, of_numbers: Callable, a: int, b: int) -> int:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return of_tensors(torch.as_tensor(a), torch.as_tensor(b))
    return of_numbers(a, b)


def resize(image: Tensor, step: Resize) -> Tensor:
    """(B, C, H, W) with values from 0 to 255 → whole numbers, as pictures of 8 bits have."""
    options = MODES[step.library, step.interpolation]
    size = resized(step, image.shape[2:])
    return F.interpolate(image, size=size, **options).round().clamp(0, 255)
