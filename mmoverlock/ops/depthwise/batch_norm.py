"""Sum of depthwise convolutions of one map, each with its own batch norm, in training on the CPU.

Every statistic is exactly that of the branch's own map. The loops are in numba_batch_norm.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops.numba_tensors import array, dense, flat
from mmoverlock.ops.operator import make_operator

from . import numba_batch_norm
from .numba_cpu import empty_maps, vectors_and_strips


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
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    maps, out = empty_maps(x, len(gamma)), torch.empty_like(x)
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    numba_batch_norm.forward(
        pieces,
        torch.get_num_threads(),
        flat(x),
        x.stride(),
        array(weight),
        array(gamma),
        array(beta),
        branches,
        eps,
        flat(maps),
        flat(out),
        array(mean),
        array(var),
        sizes,
    )
    return out, mean, var, maps


def _fake_forward(x, weight, gamma, beta, kernel_sizes, dilations, eps):
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, var, empty_maps(x, len(gamma))


def _backward(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    mean: Tensor,
    var: Tensor,
    maps: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    grad_x, *grads = (torch.empty_like(t) for t in (x, weight, gamma, gamma))
    numba_batch_norm.backward(
        pieces,
        torch.get_num_threads(),
        flat(grad_out),
        grad_out.stride(),
        flat(x),
        x.stride(),
        array(weight),
        array(gamma),
        branches,
        eps,
        flat(maps),
        array(mean),
        array(var),
        flat(grad_x),
        *map(array, grads),
        sizes,
    )
    return grad_x, *grads


def _fake_backward(grad_out, x, weight, gamma, mean, var, maps, kernel_sizes, dilations, eps):
    return tuple(torch.empty_like(tensor) for tensor in (x, weight, gamma, gamma))


def _keep(inputs, output):
    x, weight, gamma, _, *settings = inputs
    return (x, weight, gamma, *output[1:]), settings


_op = make_operator(
    'depthwise_batch_norm', _forward, _fake_forward, _backward, _fake_backward, _keep
)


def depthwise_batch_norm(
    x: Tensor,
    weights: Sequence[Tensor],
    dilations: Sequence[int],
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_k batch_norm(depthwise_conv2d(x, weights[k], dilation=dilations[k]), gammas[k], betas[k]).

    Args:
        x: (B, C, H, W), which :func:`.fused.fit` takes.
        weights: N of (C, 1, K, K), K odd.
        dilations: N distances of neighbouring taps.
        gammas: N of (C).
        betas: N of (C).
        eps: Added to the variances.

    Returns:
        The sum (B, C, H, W), in the layout of x, and the mean and the (biased) variance of every
        branch's map over B, H and W, (N, C), in float64. The sum is differentiable once in all
        tensors.
    """
    out, mean, var, _ = _op(
        x,
        torch.cat([weight.flatten(1) for weight in weights], 1),
        torch.stack(list(gammas)),
        torch.stack(list(betas)),
        [weight.shape[-1] for weight in weights],
        list(dilations),
        eps,
    )
    return out, mean, var
