"""Occlusion: how much a score falls when a part of the picture is covered.

Zeiler and Fergus 2014, arXiv 1311.2901; computed by captum.
"""

from collections.abc import Callable

from torch import Tensor

from ..extras import extra

WINDOWS = 5  # along the shorter side; they overlap by half
BATCH_PIXELS = 1 << 20


def occlusion_map(scores: Callable[[Tensor], Tensor], picture: Tensor, target: int) -> Tensor:
    """How much the target's score falls when a pixel is covered, (H, W) float32 on the CPU.

    A square window moves by half of its side. A pixel has the mean of the falls of the windows that
    cover it, which is negative where covering raises the score.

    Args:
        scores: Takes inputs (B, C, H, W) and gives scores (B, classes).
        picture: (1, C, H, W). The window has its median in each channel: the usual mean of the data
            is conspicuous on a plain background.
        target: Class.
    """
    height, width = picture.shape[2:]
    window = window_of(height, width)
    found = (
        extra('captum.attr')
        .Occlusion(scores)
        .attribute(
            picture,
            sliding_window_shapes=(picture.shape[1], window, window),
            strides=(picture.shape[1], max(window // 2, 1), max(window // 2, 1)),
            baselines=picture.flatten(2).median(2).values[..., None, None].expand_as(picture),
            target=target,
            perturbations_per_eval=max(1, min(64, BATCH_PIXELS // (height * width))),
        )
    )
    return found[0].mean(0).float().cpu()


def window_of(height: int, width: int) -> int:
    """Side of the window in pixels."""
    return max(1, min(height, width) // WINDOWS)
