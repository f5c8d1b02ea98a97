"""Dynamic convolution as its formula says, in plain PyTorch: specification and export path.

Runs on any device in any precision and is differentiable by autograd. It adds up the taps one after
the other, and so needs no unfolded value map, unless for the gradient. Sizes may be symbolic.
"""

import torch.nn.functional as F
from torch import Tensor


def aggregate(kernels: Tensor, value: Tensor) -> Tensor:
    """Sum of the taps, each times the values that it meets.

    The taps (a, b) of the pixels whose window lies wholly inside meet the values that start at row
    a and column b. A pixel near the border has the nearest of these windows: the edge is repeated.

    Args:
        kernels: (B, G, K·K, H, W), K odd.
        value: (B, G, C, H, W), H and W at least K.

    Returns:
        (B, G, C, H, W).
    """
    kernel_size = round(int(kernels.shape[2]) ** 0.5)
    half = kernel_size // 2
    height, width = (length - 2 * half for length in value.shape[3:])
    out = None
    for b in range(kernel_size):
        columns = repeat_edge(value.narrow(4, b, width), (half, half, 0, 0))
        for a in range(kernel_size):
            met = repeat_edge(columns.narrow(3, a, height), (0, 0, half, half))
            term = met * kernels[:, :, a * kernel_size + b, None]
            out = term if out is None else out + term
    return out


def repeat_edge(x: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Repeat the edges of (B, G, C, H, W)."""
    return F.pad(x.flatten(1, 2), padding, mode='replicate').unflatten(1, x.shape[1:3])


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    out = aggregate(kernels.permute(0, 1, 4, 2, 3), value.permute(0, 1, 4, 2, 3))
    return out.permute(0, 1, 3, 4, 2)
