"""Residual depthwise convolution.

    out = x + depthwise_conv2d(x, weight, bias)

In inference the `numba` backend writes the result over a large map strip by strip. Removing it
makes OverLoCK-T 12% slower at 800×1344 (docs/benchmarks/results.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops import _numba
from mmoverlock.ops.autograd import is_eager
from mmoverlock.ops.dispatch import Backend, Operator, may_overwrite

__all__ = ['MMAP_THRESHOLD', 'ResDWConv', 'residual_conv']

# glibc takes memory of more bytes from the system, page by page, every time.
MMAP_THRESHOLD = 32 << 20


def _unsupported(x: Tensor, weight: Tensor, bias: Tensor, inplace: bool) -> str | None:
    """Why the loops do not take a map, or None."""
    if not inplace or torch.is_grad_enabled() or not is_eager(x):
        return 'only in eager inference, over the input'
    if x.nbytes <= MMAP_THRESHOLD:
        return 'the map is small'
    return _numba.unsupported(x)


def _run_numba(*args: Tensor | bool) -> Tensor:
    from . import numba_cpu

    return numba_cpu.residual_conv(*args)


def _reference(x: Tensor, weight: Tensor, bias: Tensor, inplace: bool) -> Tensor:
    y = F.conv2d(x, weight, bias, 1, weight.shape[-1] // 2, 1, weight.shape[0])
    return y.add_(x) if may_overwrite() else x + y


RESIDUAL_CONV = Operator(
    'residual_conv',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported),
    Backend('reference', _reference),
)


def residual_conv(
    x: Tensor, weight: Tensor, bias: Tensor, inplace: bool = False, backend: str | None = None
) -> Tensor:
    """x + depthwise_conv2d(x, weight, bias), with stride 1 and "same" zero padding.

    Args:
        x: (B, C, H, W).
        weight: (C, 1, K, K), K odd.
        bias: (C).
        inplace: x may be written over; only without gradients.
        backend: 'reference' or 'numba'; None: see :mod:`.dispatch`.

    Returns:
        (B, C, H, W). Differentiable in x, weight and bias.

    Raises:
        ValueError: if the backend cannot run.
    """
    return RESIDUAL_CONV(x, weight, bias, inplace, device=x.device, backend=backend)


class ResDWConv(nn.Conv2d):
    """:func:`residual_conv` as a module, 3×3.

    Args:
        dim: Channels.
        inplace: The input may be written over where no gradient is wanted.
    """

    def __init__(self, dim: int, inplace: bool = False):
        super().__init__(dim, dim, 3, padding=1, groups=dim)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return residual_conv(x, self.weight, self.bias, self.inplace and may_overwrite())
