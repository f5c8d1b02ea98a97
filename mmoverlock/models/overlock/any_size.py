"""What depends on the size of a map, in a form that can be exported for maps of any size.

In an exported or traced program a size may be a symbol instead of a number. A branch on it, or
PyTorch's adaptive pooling, would fix it to the size of the example. So where sizes are symbols they
go into arithmetic only, which gives the same answers; where they are numbers nothing changes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def is_symbolic(*sizes: int | torch.SymInt | Tensor) -> bool:
    """True if a size is a symbol: a SymInt in torch.export, a tensor in torch.jit.trace."""
    return not all(isinstance(size, int) for size in sizes)


def at_least_kernel(height: int, width: int, kernel_size: int) -> tuple[int, int]:
    """The size at which ContMix runs: the shorter side is brought up to the kernel size.

    The floating-point expressions and their order are the published ones; the last step keeps
    their rounding from ending below the kernel size.
    """
    if is_symbolic(height, width):
        return _at_least_kernel(height, width, kernel_size)
    if min(height, width) >= kernel_size:
        return height, width
    if height < width:
        size = kernel_size, int(kernel_size / height * width)
    else:
        size = int(kernel_size / width * height), kernel_size
    return max(size[0], kernel_size), max(size[1], kernel_size)


def _at_least_kernel(height: torch.SymInt, width: torch.SymInt, kernel_size: int) -> tuple:
    """The same without branches: nothing changes where kernel_size is the smallest of the three."""
    smallest = _minimum(_minimum(height, width), kernel_size)
    return kernel_size * height // smallest, kernel_size * width // smallest


def _minimum(a: torch.SymInt | Tensor, b: torch.SymInt | Tensor | int) -> torch.SymInt | Tensor:
    return torch.minimum(a, torch.as_tensor(b)) if isinstance(a, Tensor) else torch.sym_min(a, b)


def adaptive_avg_pool2d(x: Tensor, size: Sequence[int]) -> Tensor:
    """Adaptive average pooling of (B, C, H, W) to `size`.

    It is done by two matrices where a size is a symbol, and where all must be deterministic on a
    GPU, where PyTorch's gradient is not.
    """
    exact = x.is_cuda and torch.are_deterministic_algorithms_enabled()
    if not (exact or is_symbolic(*x.shape[2:], *size)):
        return F.adaptive_avg_pool2d(x, size)
    rows, columns = (
        _pooling_matrix(*lengths, x) for lengths in zip(x.shape[2:], size, strict=True)
    )
    return rows @ (x @ columns.T)


def _pooling_matrix(length: int, regions: int, like: Tensor) -> Tensor:
    """(regions, length): row i averages from ⌊i · length / regions⌋ to ⌈(i+1) · length / regions⌉.

    With as many regions as positions it is the identity.
    """
    region = torch.arange(regions, device=like.device)[:, None]
    position = torch.arange(length, device=like.device)
    start, end = region * length // regions, -(-(region + 1) * length // regions)
    inside = (position >= start) & (position < end)
    return inside.to(like.dtype) / (end - start).to(like.dtype)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """:func:`adaptive_avg_pool2d` to a square as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(x, (self.output_size, self.output_size))
