"""Dynamic convolution as its formula says, in plain PyTorch: specification and export path.

Runs on any device in any precision and is differentiable by autograd. It adds up the columns of the
kernels one after the other, and so needs K times the memory of the value map instead of K² times,
unless a gradient is wanted. Sizes may be symbols: there is no map whose size depends on K.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_matrices = False  # in `matrix_products`


def window_start(length: int, kernel_size: int, like: Tensor) -> Tensor:
    """Where the window of every pixel of a row or column starts: (length,)."""
    pixel = torch.arange(length, device=like.device)
    return (pixel - kernel_size // 2).clamp(0, length - kernel_size)


@contextmanager
def matrix_products() -> Iterator[None]:
    """Make products matrix products, which is slower, as long as the context lasts.

    For counters of multiply-adds, which see no others. MMEngine's counts in a trace: there they
    are always such.
    """
    global _matrices
    saved, _matrices = _matrices, True
    try:
        yield
    finally:
        _matrices = saved


def aggregate(kernels: Tensor, value: Tensor) -> Tensor:
    """Sum of every pixel's window, weighted by the pixel's kernel.

    Args:
        kernels: (B, G, K·K, H, W), K odd.
        value: (B, G, C, H, W), H and W at least K.

    Returns:
        (B, G, C, H, W).
    """
    kernel_size = round(int(kernels.shape[2]) ** 0.5)
    taps = torch.arange(kernel_size, device=value.device)
    top, left = (window_start(length, kernel_size, value) for length in value.shape[3:])
    rows = (top + taps[:, None]).flatten()
    kernels = kernels.unflatten(2, (kernel_size, kernel_size))
    out = torch.zeros_like(value)
    for tap in range(kernel_size):
        column = value.index_select(4, left + tap).index_select(3, rows)
        column = column.unflatten(3, (kernel_size, -1))  # (B, G, C, K, H, W)
        if _matrices or torch.jit.is_tracing():
            out = out + torch.einsum('bgckhw,bgkhw->bgchw', column, kernels[:, :, :, tap])
        else:
            out = out + (column * kernels[:, :, None, :, tap]).sum(3)
    return out


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    out = aggregate(kernels.permute(0, 1, 4, 2, 3), value.permute(0, 1, 4, 2, 3))
    return out.permute(0, 1, 3, 4, 2)
