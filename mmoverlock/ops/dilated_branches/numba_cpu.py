"""Depthwise convolutions and their batch norms in training on the CPU.

Statistics equal those of running each branch alone. The loops are in numba_kernels.py.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops._numba.tensors import dense, empty_maps, run, vectors_and_strips
from mmoverlock.ops.autograd import differentiable
from mmoverlock.ops.depthwise import reference as depthwise

from . import numba_kernels


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
    results = out, mean, var, maps = _empty(x, weight, gamma)
    inputs = x, weight, gamma, beta, branches, eps
    run(numba_kernels.forward, pieces, *inputs, maps, out, mean, var, sizes)
    return results


def _empty(x: Tensor, weight: Tensor, gamma: Tensor, *others: object) -> tuple[Tensor, ...]:
    """Memory for the sum, for the mean and the variance of every branch, and for its map."""
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, var, empty_maps(x, len(gamma))


def _backward(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    maps: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    grads = tuple(torch.empty_like(tensor) for tensor in (x, weight, gamma, beta))
    given = grad_out, x, weight, gamma, branches, eps, maps, mean, var
    run(numba_kernels.backward, pieces, *given, grads, sizes)
    return grads


def _formula(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
) -> Tensor:
    weights = weight.split([size**2 for size in kernel_sizes], 1)
    branches = zip(weights, kernel_sizes, dilations, gamma, beta, strict=True)
    return sum(
        F.batch_norm(
            depthwise.forward(x, kernel.view(-1, 1, size, size), None, dilation),
            None, None, scale, shift, training=True, eps=eps,
        )
        for kernel, size, dilation, scale, shift in branches
    )  # fmt: skip


_op = differentiable('dilated_branches', _forward, _backward, _empty, _formula)


def branches_and_statistics(
    x: Tensor,
    weights: Sequence[Tensor],
    dilations: Sequence[int],
    gammas: Sequence[Tensor],
    betas: Sequence[Tensor],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_k batch_norm(depthwise_conv2d(x, weights[k], dilation=dilations[k]), gammas[k], betas[k]).

    Args:
        x: (B, C, H, W), float32 or float64.
        weights: N of (C, 1, K, K), K odd.
        dilations: N distances of neighbouring taps.
        gammas: N of (C).
        betas: N of (C).
        eps: Added to the variances.

    Returns:
        The sum (B, C, H, W), in the layout of x, and the mean and the (biased) variance of every
        branch's map over B, H and W, (N, C), in float64. The sum is differentiable in all
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


def dilated_branches(
    x: Tensor, convs: Sequence[nn.Module], norms: Sequence[nn.BatchNorm2d]
) -> Tensor:
    """See :func:`mmoverlock.ops.dilated_branches`."""
    y, mean, var = branches_and_statistics(
        x,
        [conv.weight for conv in convs],
        [conv.dilation[0] for conv in convs],
        [norm.weight for norm in norms],
        [norm.bias for norm in norms],
        norms[0].eps,
    )
    pixels = x.numel() // x.shape[1]
    mean, var = mean.to(x.dtype), (var * (pixels / (pixels - 1))).to(x.dtype)
    with torch.no_grad():
        for norm, batch_mean, batch_var in zip(norms, mean, var, strict=True):
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(batch_mean, norm.momentum)
            norm.running_var.lerp_(batch_var, norm.momentum)
    return y
