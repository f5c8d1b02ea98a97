"""Global response normalisation (ConvNeXt V2, arXiv 2301.00808, section 3.1).

    out = x · (1 + γ · N(x)) + β

where N(x) is every channel's L2 norm over the map, divided by the mean of the image's norms.

Removing it makes OverLoCK-T 14% slower at 800×1344
(docs/benchmarks/results.md).
"""

import torch
from torch import Tensor, nn

from mmoverlock.ops import _numba
from mmoverlock.ops.autograd import is_eager
from mmoverlock.ops.dispatch import Backend, Operator, may_overwrite

from . import reference

__all__ = ['GRN', 'grn']


def _unsupported(x: Tensor, *args: object) -> str | None:
    """Why the loops do not take a map, or None."""
    if torch.is_grad_enabled() or not is_eager(x):
        return 'only in eager inference'
    if not x.is_contiguous(memory_format=torch.channels_last):
        return 'the map is not channels_last'
    return _numba.unsupported(x)


def _run_numba(*args: Tensor | float | bool) -> Tensor:
    from . import numba_cpu

    return numba_cpu.grn(*args)


GRN_OPERATOR = Operator(
    'grn',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported),
    Backend('reference', reference.grn),
)


def grn(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float = 1e-6,
    inplace: bool = False,
    backend: str | None = None,
) -> Tensor:
    """x · (1 + γ · N(x)) + β.

    Args:
        x: (B, C, H, W).
        gamma: (1, C, 1, 1).
        beta: (1, C, 1, 1).
        eps: Added to the mean norm.
        inplace: Overwrite `x`; only without gradients.
        backend: 'reference' or 'numba'; None: see :mod:`.dispatch`.

    Returns:
        (B, C, H, W), in the dtype of `x`; norms are computed in float32 at least. Differentiable
        in `x`, `gamma` and `beta`.

    Raises:
        ValueError: if the backend cannot run.
    """
    return GRN_OPERATOR(x, gamma, beta, eps, inplace, device=x.device, backend=backend)


class GRN(nn.Module):
    """:func:`grn` as a module. Where no gradient is wanted, the result overwrites the input."""

    def __init__(self, dim: int):
        super().__init__()
        self.eps = 1e-6
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return grn(x, self.gamma, self.beta, self.eps, inplace=may_overwrite())
