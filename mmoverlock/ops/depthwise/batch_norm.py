"""Sum of depthwise convolutions of one map, each with its own batch norm, in training on the CPU.

Every statistic is exactly that of the branch's own map. The loops are in numba_batch_norm.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops.numba_maps import TILE
from mmoverlock.ops.numba_tensors import dense, flat, in_vectors, of_channels
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_batch_norm as loops
from .numba_cpu import per_image, vectors_and_strips


def _plan(
    x: Tensor, kernel_sizes: Sequence[int], dilations: Sequence[int]
) -> tuple[int, np.ndarray, tuple[int, ...]]:
    """How many pieces of work there are, and the branches and sizes that the loops take."""
    taps = np.square(kernel_sizes)
    branches = np.stack([kernel_sizes, dilations, taps.cumsum() - taps], 1)
    reach = max(d * (size // 2) for size, d in zip(kernel_sizes, dilations, strict=True))
    vectors, strips = vectors_and_strips(x)
    return vectors * strips, branches, (*x.shape, len(branches), reach, strips)


def _empty_maps(x: Tensor, number: int) -> Tensor:
    """Memory for the maps of `number` branches, padded to whole vectors and tiles."""
    height, width = x.shape[2:]
    vectors, _ = vectors_and_strips(x)
    lanes, tiles = VECTOR_BYTES // x.dtype.itemsize, -(-width // TILE)
    return x.new_empty(vectors * number * height * tiles * TILE * lanes)


def _statistics(stats: Tensor, x: Tensor, strips: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of every branch's map, (N, C), from those of the pieces."""
    batch, channels, height, width = x.shape
    ends = [strip * height // strips for strip in range(strips + 1)]
    rows = stats.new_tensor(np.diff(ends), dtype=torch.float64).view(-1, 1, 1)
    stats = stats.double().view(batch, -1, strips, *stats.shape[1:])
    means, deviations = stats.unbind(-2)
    mean = (means * rows).sum((0, 2), keepdim=True) / (batch * height)
    deviation = (deviations + (means - mean).square() * (rows * width)).sum((0, 2))
    var = deviation / (batch * height * width)
    return of_channels(mean[0, :, 0], channels), of_channels(var, channels)


@torch.library.custom_op('mmoverlock::depthwise_batch_norm', mutates_args=())
def _op(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    kernel_sizes: Sequence[int],
    dilations: Sequence[int],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, threads = dense(x), torch.get_num_threads()
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    taps, maps, out = in_vectors(weight.t()), _empty_maps(x, len(gamma)), torch.empty_like(x)
    stats = x.new_empty(pieces, len(gamma), 2, taps.shape[-1])
    loops.convolve_branches(
        pieces, threads, flat(x), x.stride(), flat(taps), branches, flat(maps), flat(stats), sizes
    )
    mean, var = _statistics(stats, x, sizes[-1])
    factor = gamma * (var + eps).rsqrt()
    offset = (beta - factor * mean).sum(0, keepdim=True)
    factors = in_vectors(torch.cat((factor, offset)).to(x.dtype))
    loops.add_branches(pieces, threads, flat(maps), flat(factors), flat(out), out.stride(), sizes)
    return out, mean, var, maps


@_op.register_fake
def _(x, weight, gamma, beta, kernel_sizes, dilations, eps):
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, var, _empty_maps(x, len(gamma))


@torch.library.custom_op('mmoverlock::depthwise_batch_norm_backward', mutates_args=())
def _backward_op(
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
    x, threads = dense(x), torch.get_num_threads()
    pieces, branches, sizes = _plan(x, kernel_sizes, dilations)
    rounded, flipped = mean.to(x.dtype), in_vectors(weight.flip(1).t())
    sums = x.new_zeros(pieces, len(gamma) + 1, flipped.shape[-1])
    loops.sum_gradients(
        pieces,
        threads,
        flat(grad_out),
        grad_out.stride(),
        flat(maps),
        flat(in_vectors(rounded)),
        flat(sums),
        sizes,
    )
    sums = per_image(sums, x, sizes[-1]).sum(0)
    grad_beta = sums[-1:]
    rstd = (var + eps).rsqrt()
    grad_gamma = (sums[:-1] + (rounded - mean) * grad_beta) * rstd
    # grad_map = γ·rstd · (grad_out - mean(grad_out) - normalised · mean(grad_out · normalised))
    factor, pixels = gamma * rstd, x.numel() // x.shape[1]
    pull = -factor * rstd * grad_gamma / pixels
    mix = torch.stack((factor, pull, -factor * grad_beta / pixels - pull * mean), 1)
    mix = in_vectors(mix.flatten(0, 1).to(x.dtype))
    grad_x, grad_taps = torch.empty_like(x), x.new_zeros(pieces, *flipped.shape[1:])
    loops.backward_branches(
        pieces,
        threads,
        flat(grad_out),
        grad_out.stride(),
        flat(x),
        x.stride(),
        flat(flipped),
        branches,
        flat(maps),
        flat(mix),
        flat(grad_x),
        flat(grad_taps),
        sizes,
    )
    grad_weight = per_image(grad_taps, x, sizes[-1]).sum(0).t()
    small = (t.to(x.dtype).contiguous() for t in (grad_weight, grad_gamma))
    return grad_x, *small, grad_beta.to(x.dtype).expand_as(gamma).contiguous()


@_backward_op.register_fake
def _(grad_out, x, weight, gamma, mean, var, maps, kernel_sizes, dilations, eps):
    return tuple(torch.empty_like(tensor) for tensor in (x, weight, gamma, gamma))


def _setup_context(ctx, inputs, output):
    x, weight, gamma, _, *ctx.settings = inputs
    _, mean, var, maps = output
    ctx.mark_non_differentiable(mean, var, maps)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, weight, gamma, mean, var, maps)


def _backward(ctx, grad_out, *_):
    return *_backward_op(grad_out, *ctx.saved_tensors, *ctx.settings), None, None, None


_op.register_autograd(_backward, setup_context=_setup_context)


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
