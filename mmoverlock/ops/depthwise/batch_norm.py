"""Sum of depthwise convolutions of one map, each with its own batch norm, in training on the CPU.

Every statistic is exactly that of the branch's own map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .branches import Branches, empty_maps


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
    branches = Branches(x, weight, kernel_sizes, dilations)
    maps, means, deviations = branches.convolve()
    mean = means.mean(0)
    between = (means - mean).square().mean(0)
    var = deviations.mean(0) / branches.pixels + between
    factor = gamma * (var + eps).rsqrt()
    offset = (beta - factor * mean).sum(0)
    out = branches.add(maps, factor.expand_as(means), offset.expand(len(x), -1))
    return out, mean, var, maps


@_op.register_fake
def _(x, weight, gamma, beta, kernel_sizes, dilations, eps):
    mean, var = (torch.empty_like(gamma, dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, var, empty_maps(x, len(gamma))


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
    branches = Branches(x, weight, kernel_sizes, dilations)
    pixels = len(x) * branches.pixels
    sums = branches.sum_gradients(grad_out, maps, mean.expand(len(x), -1, -1)).sum(0)
    grad_beta = sums[:1].expand_as(gamma)
    rstd = (var + eps).rsqrt()
    grad_gamma = sums[1:] * rstd
    # grad_map = γ·rstd · (grad_out - mean(grad_out) - normalised · mean(grad_out · normalised))
    factor = gamma * rstd
    pull = -factor * rstd * grad_gamma / pixels
    mix = torch.stack((factor, pull, -factor * grad_beta / pixels - pull * mean), 1)
    grad_x, grad_weight = branches.backward(grad_out, maps, mix.expand(len(x), -1, -1, -1))
    return grad_x, grad_weight, grad_gamma.to(x.dtype), grad_beta.to(x.dtype)


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
        x: (B, C, H, W), which :func:`.branches.fit` takes.
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
        torch.cat([weight.flatten() for weight in weights]),
        torch.stack(list(gammas)),
        torch.stack(list(betas)),
        [weight.shape[-1] for weight in weights],
        list(dilations),
        eps,
    )
    return out, mean, var
