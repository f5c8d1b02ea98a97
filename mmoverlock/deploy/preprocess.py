"""Preprocessing inside the exported graph: the steps of `mmoverlock.runtime.spec`."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.runtime.spec import CenterCrop, Normalize, Pad, Resize, Step

from .exportable import Exportable, Size
from .resizing import check_resize, greatest, resize

# What of the steps is inside, by the name of the choice.
INSIDE = {'none': (), 'normalize': (Normalize, Pad), 'resize': (Resize, CenterCrop, Normalize, Pad)}


def split(steps: Sequence[Step], preprocess: str) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps before the graph, and those inside it, which are the last ones.

    Args:
        steps: In the order in which pictures go through them.
        preprocess: 'none', 'normalize' (normalisation and padding inside), or 'resize' (all).

    Raises:
        ValueError: for another choice.
    """
    if preprocess not in INSIDE:
        raise ValueError(f'preprocess={preprocess!r}: allowed are {[*INSIDE]}')
    start = len(steps)
    while start and isinstance(steps[start - 1], INSIDE[preprocess]):
        start -= 1
    before, inside = tuple(steps[:start]), tuple(steps[start:])
    padded = False
    for step in inside:
        if isinstance(step, Resize):
            check_resize(step)
        if padded and isinstance(step, (Resize, CenterCrop)):
            raise ValueError(
                f'preprocess={preprocess!r}: pictures are padded before they are resized, which '
                "cannot be inside: take 'normalize'"
            )
        padded |= isinstance(step, Pad)
    return before, inside


class Preprocessed(nn.Module):
    """An exportable that begins with steps of preprocessing, and computes in the network's dtype.

    Inputs and results are float32 (labels int64) whatever the dtype of the network.
    """

    def __init__(self, network: Exportable, steps: Sequence[Step]):
        super().__init__()
        self.network = network
        self.outputs = network.outputs
        self.steps = tuple(steps)
        for index, step in enumerate(steps):
            if isinstance(step, Normalize):
                for name in ('mean', 'std'):
                    values = torch.tensor(getattr(step, name), dtype=torch.float32)
                    self.register_buffer(f'{name}{index}', values.view(-1, 1, 1), persistent=False)

    def half(self) -> 'Preprocessed':
        """Half precision for the network alone: pictures are normalized in float32."""
        self.network.half()
        return self

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) float32, values as the first step takes them → the network's outputs."""
        given, size = image.shape[2:], None
        for index, step in enumerate(self.steps):
            if isinstance(step, Normalize):
                mean, std = getattr(self, f'mean{index}'), getattr(self, f'std{index}')
                image = (image - mean) / std
            elif isinstance(step, Resize):
                image = resize(image, step)
            elif isinstance(step, CenterCrop):
                image = center_crop(image, step.size)
            else:
                size = size or image.shape[2:]
                image = pad(image, step)
        dtype = next(self.network.parameters()).dtype
        results = self.network(image.to(dtype), size)
        results = [one.float() if one.is_floating_point() else one for one in results]
        if any(isinstance(step, Resize) for step in self.steps):
            results = self._in_pixels_of(given, size or image.shape[2:], results)
        return tuple(results)

    def _in_pixels_of(self, given: Size, size: Size, results: Sequence[Tensor]) -> list[Tensor]:
        """The results in pixels of the input, from those in pixels of the resized picture."""
        found = dict(zip(self.outputs, results, strict=True))
        if 'boxes' in found:
            factors = [a / b for a, b in zip(given, size, strict=True)]
            found['boxes'] = torch.stack(
                [found['boxes'][..., i] * factors[1 - i % 2] for i in range(4)], dim=-1
            )
        if 'logits' in found:
            corners = self.network.align_corners
            found['logits'] = F.interpolate(
                found['logits'], size=given, mode='bilinear', align_corners=corners
            )
            found['labels'] = found['logits'].argmax(1)
        return list(found.values())


def center_crop(image: Tensor, size: Size) -> Tensor:
    """The middle of (B, C, H, W), or what there is; of two middles that which mmcv takes."""
    rests = [greatest(edge - cut, 0) for edge, cut in zip(image.shape[2:], size, strict=True)]
    top, left = (rest // 2 + rest % 2 * (rest // 2 % 2) for rest in rests)  # halves go to even
    return image[..., top : top + size[0], left : left + size[1]]


def pad(image: Tensor, step: Pad) -> Tensor:
    """Below and on the right: to the step's size, a square, multiples of its divisor."""
    height, width = least = image.shape[2:]
    if step.size is not None:
        least = [greatest(a, b) for a, b in zip(least, step.size, strict=True)]
    if step.square:
        least = [greatest(*least)] * 2
    below, right = (
        edge + -edge % step.divisor - old for edge, old in zip(least, (height, width), strict=True)
    )
    return F.pad(image, (0, right, 0, below), value=step.value)
