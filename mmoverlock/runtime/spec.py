"""What an exported file says about itself: its task, classes, and how pictures become its input.

It stands in the file's metadata as JSON, under :data:`KEY`. Nothing here needs a library.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

KEY = 'mmoverlock'
FORMAT = 1  # rises when a reader of the old one would misread the new one

INPUT = 'image'
# A task's outputs, in this order; B pictures, N objects at most, padded.
OUTPUTS = {
    'classification': ('scores',),  # (B, classes), probabilities
    'detection': ('boxes', 'scores', 'labels', 'masks'),  # (B, N, 4), (B, N), (B, N), (B, N, h, w)
    'segmentation': ('labels', 'logits'),  # (B, H, W), (B, classes, H, W)
}


@dataclass(frozen=True)
class Resize:
    """Resize a picture.

    Args:
        mode: 'exact': to `size`. 'short_edge', 'long_edge', 'width', 'height': that edge becomes
            size[0], the other one keeps the ratio and is rounded down. 'inside': keeping the ratio,
            as large as fits into `size`, whose larger number holds for the longer side; both edges
            are rounded. 'multiple': up to multiples of size[0].
        size: (height, width), pixels; one number where the mode says so.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'area' (cv2), 'lanczos', 'box' or 'hamming'
            (pillow).
        library: 'cv2' or 'pillow': they interpolate differently.
    """

    mode: str
    size: tuple[int, ...]
    interpolation: str = 'bilinear'
    library: str = 'cv2'
    type: str = field(default='resize', init=False)


@dataclass(frozen=True)
class CenterCrop:
    """Cut `size`, (height, width), out of the middle; of smaller pictures what there is."""

    size: tuple[int, int]
    type: str = field(default='center_crop', init=False)


@dataclass(frozen=True)
class Normalize:
    """(picture - mean) / std, per channel, in the order of the channels of the input."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    type: str = field(default='normalize', init=False)


@dataclass(frozen=True)
class Pad:
    """Pad below and on the right with `value`, in the unit that the values then have.

    To `size` at least, (height, width), or to a square, or neither, and then to multiples of
    `divisor`.
    """

    divisor: int = 1
    size: tuple[int, int] | None = None
    value: float = 0.0
    square: bool = False
    type: str = field(default='pad', init=False)


STEPS = {'resize': Resize, 'center_crop': CenterCrop, 'normalize': Normalize, 'pad': Pad}
Step = Resize | CenterCrop | Normalize | Pad


@dataclass(frozen=True)
class Spec:
    """All that a runtime has to know besides the graph.

    Positions in the outputs are in pixels of the input, whatever is inside; label maps and logits
    have its height and width. Rows that only fill up a detector's outputs have the label -1.

    Args:
        task: 'classification', 'detection' or 'segmentation'.
        classes: Names by label.
        palette: Colours by label (RGB, 0 to 255); empty for the usual ones.
        channels: 'rgb', 'bgr' or 'grey': of the input (B, C, H, W) float32, with C = 3 or 1.
        before: What the caller does to a picture with values from 0 to 255.
        inside: What the graph does first, in this order.
        sizes: Least and greatest height and width of the input: ((h, h'), (w, w')); equal if fixed.
        batch: Least and greatest batch.
        image_bits: That the values of 16-bit files have, from 8 to 16; None: all 16.
        turns: Whether files are turned as their EXIF tags say.
        mask_thr: From which probability on a pixel belongs to a detector's mask.
        align_corners: How a segmentor's logits are resized to the picture: the corners' centres on
            each other, or, usually, the edges.
        origin: Config, checkpoint, versions: for people, not for programs.
    """

    task: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    channels: str = 'rgb'
    before: tuple[Step, ...] = ()
    inside: tuple[Step, ...] = ()
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((32, 4096), (32, 4096))
    batch: tuple[int, int] = (1, 1)
    image_bits: int | None = None
    turns: bool = True
    mask_thr: float = 0.5
    align_corners: bool = False
    origin: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(dict(format=FORMAT, **asdict(self)))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """
        Raises:
            ValueError: if the text is not that of a Spec, or of a newer format.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValueError(f'no description of an exported model: {error}') from error
        try:
            if values.pop('format') != FORMAT:
                raise ValueError('it was written by a newer mmoverlock')
            for key in ('before', 'inside'):
                values[key] = tuple(_step(one) for one in values[key])
            return cls(**{key: _tuples(value) for key, value in values.items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'no description of an exported model: {error!r}') from error


def _step(values: dict[str, Any]) -> Step:
    kind = STEPS[values.pop('type')]
    return kind(**{key: _tuples(value) for key, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
