"""Dynamic convolution as its formula says, in plain PyTorch: specification and export path.

Runs on any device in any precision and is differentiable by autograd. It unfolds the value map,
so it needs K² times its memory: the other backends exist to avoid that.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def windows(x: Tensor, kernel_size: int) -> Tensor:
    """The window of every pixel: (B, N, H, W) → (B, N, K·K, H, W).

    Unfolding gives the windows that lie wholly inside. A pixel near the border takes the nearest of
    these, so they are repeated outwards.
    """
    batch, channels, height, width = x.shape
    inside = F.unfold(x, kernel_size).view(
        batch, -1, height - kernel_size + 1, width - kernel_size + 1
    )
    every = F.pad(inside, (kernel_size // 2,) * 4, mode='replicate')
    return every.view(batch, channels, kernel_size**2, height, width)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    batch, groups, height, width, channels = value.shape
    kernel_size = round(int(kernels.shape[-1]) ** 0.5)
    planes = value.permute(0, 1, 4, 2, 3).flatten(1, 2)
    patches = windows(planes, kernel_size).unflatten(1, (groups, channels))
    return torch.einsum('bghwt,bgcthw->bghwc', kernels, patches)
