"""The steps of :mod:`.spec` on pictures, as mmcv does them in test pipelines: bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from .spec import CenterCrop, Normalize, Pad, Resize, Step

Size = tuple[int, int]  # height, width

_CV2 = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
    'lanczos': cv2.INTER_LANCZOS4,
}


@dataclass
class Prepared:
    """A picture for the network, and where in it the original is.

    Attributes:
        image: (H, W, C), as the file's channels have it.
        size: Height and width of the part that is not padding, at the upper left.
        scale: By which height and width were multiplied.
        corner: Row and column of the scaled original at the upper left, after cropping.
    """

    image: np.ndarray
    size: Size
    scale: tuple[float, float] = (1.0, 1.0)
    corner: tuple[int, int] = (0, 0)


def prepared(picture: np.ndarray, channels: str, steps: Sequence[Step]) -> Prepared:
    """Let a picture (H, W, 3) uint8 in BGR go through steps.

    Args:
        picture: As OpenCV reads it.
        channels: 'rgb', 'bgr' or 'grey': what the network takes.
        steps: In their order.
    """
    if channels == 'grey':
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None]
    elif channels == 'rgb':
        picture = np.ascontiguousarray(picture[..., ::-1])
    done = Prepared(picture, picture.shape[:2])
    for step in steps:
        match step:
            case Resize():
                _resize(done, step)
            case CenterCrop():
                _crop(done, step)
            case Normalize():
                mean, std = np.float32(step.mean), np.float32(step.std)
                done.image = (done.image.astype(np.float32) - mean) / std
            case Pad():
                _pad(done, step)
    return done


def resized_size(step: Resize, size: Size) -> Size:
    """Height and width that a picture of `size` gets."""
    height, width = size
    if step.mode == 'exact':
        return step.size
    if step.mode == 'multiple':
        return tuple(-(-side // step.size[0]) * step.size[0] for side in size)
    if step.mode == 'inside':
        short, long = min(step.size), max(step.size)
        scale = min(long / max(size), short / min(size))
        return int(height * scale + 0.5), int(width * scale + 0.5)
    edge = step.size[0]
    by_width = {
        'short_edge': width < height, 'long_edge': width > height,
        'width': True, 'height': False,
    }[step.mode]  # fmt: skip
    return (int(edge * height / width), edge) if by_width else (edge, int(edge * width / height))


def _resize(done: Prepared, step: Resize) -> None:
    old, new = done.image.shape[:2], resized_size(step, done.image.shape[:2])
    if 0 in new:
        raise ValueError(
            f'a picture of {old[0]}x{old[1]} pixels would be resized to {new[0]}x{new[1]}'
        )
    if step.library == 'pillow':
        grey = done.image.shape[2] == 1
        image = Image.fromarray(done.image[..., 0] if grey else done.image)
        method = Image.Resampling[step.interpolation.upper()]
        done.image = np.asarray(image.resize(new[::-1], method))
    else:
        done.image = cv2.resize(done.image, new[::-1], interpolation=_CV2[step.interpolation])
    done.image = done.image.reshape(*new, -1)
    done.size = new
    done.scale = tuple(s * b / a for s, a, b in zip(done.scale, old, new, strict=True))


def _crop(done: Prepared, step: CenterCrop) -> None:
    cut = [min(a, b) for a, b in zip(done.image.shape[:2], step.size, strict=True)]
    top, left = (round((a - b) / 2) for a, b in zip(done.image.shape[:2], cut, strict=True))
    done.image = done.image[top : top + cut[0], left : left + cut[1]]
    done.size = tuple(cut)
    done.corner = done.corner[0] + top, done.corner[1] + left


def _pad(done: Prepared, step: Pad) -> None:
    sides = done.image.shape[:2]
    if step.square:
        wanted = (max(sides),) * 2
    else:
        wanted = step.size or sides
    wanted = [
        -(-max(a, b) // step.divisor) * step.divisor for a, b in zip(sides, wanted, strict=True)
    ]
    rows, columns = (b - a for a, b in zip(sides, wanted, strict=True))
    value = np.asarray(step.value, done.image.dtype)
    done.image = np.pad(done.image, ((0, rows), (0, columns), (0, 0)), constant_values=value)
