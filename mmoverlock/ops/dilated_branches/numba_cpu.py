"""Depthwise convolutions and their batch norms in training on the CPU.

Statistics equal those of running each branch alone. The loops are in numba_kernels.py.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import dense, empty_maps, run, vectors_and_strips

from . import numba_kernels
from .fused import Branches


@cache
def _branches(kernel_sizes: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """The branches as the loops take them, and the reach of the largest."""
    taps = np.square(kernel_sizes)
    reach = max(d * (size // 2) for size, d in zip(kernel_sizes, dilations, strict=True))
    return np.stack([kernel_sizes, dilations, taps.cumsum() - taps], 1), reach


def _plan(
    x: Tensor, kernel_sizes: Sequence[int], dilations: Sequence[int]
) -> tuple[int, np.ndarray, tuple[int, ...]]:
    """How many pieces of work there are, and the branches and sizes that the loops take."""
    branches, reach = _branches(tuple(kernel_sizes), tuple(dilations))
    vectors, strips = vectors_and_strips(x)
    return vectors * strips, branches, (*x.shape, len(branches), reach, strips)


def _forward(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
    synchronized: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    results = out, mean, var, count, maps = _empty(x, weight, gamma)
    count.fill_(x.numel() // x.shape[1])
    inputs = x, weight, gamma, beta, branches, eps
    run(numba_kernels.forward, pieces, *inputs, maps, out, mean, var, sizes)
    return results


def _empty(x: Tensor, weight: Tensor, gamma: Tensor, *others: object) -> tuple[Tensor, ...]:
    """Memory for the results, the last of which are the branches' maps."""
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, var, var.new_empty(()), empty_maps(x, len(gamma))


def _backward(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    count: Tensor,
    maps: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
    synchronized: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    grads = tuple(torch.empty_like(tensor) for tensor in (x, weight, gamma, beta))
    given = grad_out, x, weight, gamma, branches, eps, maps, mean, var
    run(numba_kernels.backward, pieces, *given, grads, sizes)
    return grads


dilated_branches = Branches('dilated_branches', _forward, _backward, _empty)
