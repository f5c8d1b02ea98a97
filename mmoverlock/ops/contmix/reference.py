"""ContMix as its formulas say, in plain PyTorch: the specification, and the export path.

Runs on any device in any precision and is differentiable by autograd.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmoverlock.ops.dynamic_conv2d.reference import aggregate, window_start


def position_bias(rpb: Tensor, size: tuple[int, int]) -> Tensor:
    """Relative position bias of every pixel's taps: (G, 2K-1, 2K-1) → (G, H, W, K·K).

    The bias of tap (a, b) depends on where it lies relative to the pixel: it is
    rpb[start_i - i + a + K - 1, start_j - j + b + K - 1]. A pixel's taps are thus a K×K window of
    the table, which starts at its middle away from the borders.
    """
    kernel_size = (rpb.shape[-1] + 1) // 2
    table = rpb.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1)  # (G, K, K, K, K)
    for axis, length in enumerate(size, start=1):
        pixel = torch.arange(length, device=rpb.device)
        start = window_start(length, kernel_size, rpb) - pixel
        table = table.index_select(axis, start + kernel_size - 1)
    return table.flatten(3)


def mix(logits: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor) -> Tensor:
    """Aggregate both halves of the value map with the kernels of which the logits are given.

    Args:
        logits: (B, G, H, W, ks² + kl²), the small kernel's first, without position bias.
        rpb_small: (G, 2·ks - 1, 2·ks - 1).
        rpb_large: (G, 2·kl - 1, 2·kl - 1).
        value: (B, 2, G, C, H, W).

    Returns:
        (B, 2, G, C, H, W).
    """
    tables = rpb_small, rpb_large
    taps = [((table.shape[-1] + 1) // 2) ** 2 for table in tables]
    halves = []
    for part, rpb, half in zip(logits.split(taps, -1), tables, value.unbind(1), strict=True):
        kernels = (part + position_bias(rpb, value.shape[-2:])).softmax(-1)
        halves.append(aggregate(kernels.permute(0, 1, 4, 2, 3), half))
    return torch.stack(halves, dim=1)


def contmix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    rpb_small: Tensor,
    rpb_large: Tensor,
    small_kernel: int,
    large_kernel: int,
) -> Tensor:
    """See :func:`mmoverlock.ops.contmix`."""
    affinity = torch.einsum('bgchw,bgcl->bghwl', query, key)
    logits = F.linear(affinity, proj_weight, proj_bias)
    return mix(logits, rpb_small, rpb_large, value).flatten(1, 3)
