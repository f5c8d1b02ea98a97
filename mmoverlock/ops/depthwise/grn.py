"""Depthwise convolution and the GRN behind it, in training on the CPU.

They stand in every MLP, on the widest maps of the network, which cost more to read and write than
to convolve.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmoverlock.ops.grn import pull_of, scale_by

from .branches import Branches, empty_maps


@torch.library.custom_op('mmoverlock::depthwise_grn', mutates_args=())
def _op(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    branches = Branches(x, weight.flatten(), [weight.shape[-1]], [1])
    maps, means, deviations = branches.convolve()
    mean = means[:, 0] + bias
    norm = (deviations[:, 0] + branches.pixels * mean.square()).sqrt()
    _, scale = scale_by(norm, gamma, eps)
    out = branches.add(maps, scale[:, None], scale * bias + beta)
    return out, mean, norm, maps


@_op.register_fake
def _(x, weight, bias, gamma, beta, eps):
    mean, norm = (x.new_empty(x.shape[:2], dtype=torch.float64) for _ in range(2))
    return torch.empty_like(x), mean, norm, empty_maps(x, 1)


@torch.library.custom_op('mmoverlock::depthwise_grn_backward', mutates_args=())
def _backward_op(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    map_mean: Tensor,
    norm: Tensor,
    maps: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    branches = Branches(x, weight.flatten(), [weight.shape[-1]], [1])
    mean, scale = scale_by(norm, gamma, eps)
    sums = branches.sum_gradients(grad_out, maps, torch.zeros_like(map_mean)[:, None])
    grad_beta, grad_scale = sums[:, 0], sums[:, 1] + bias * sums[:, 0]
    grad_gamma, pull = pull_of(grad_scale, norm, mean, gamma)
    mix = torch.stack((scale, pull, pull * bias), 1)[:, None]
    grad_x, grad_weight = branches.backward(grad_out, maps, mix)
    grad_bias = (scale * grad_beta + pull * branches.pixels * map_mean).sum(0)
    small = (t.to(x.dtype) for t in (grad_bias, grad_gamma, grad_beta.sum(0, keepdim=True)))
    return grad_x, grad_weight.view_as(weight), *small


@_backward_op.register_fake
def _(grad_out, x, weight, bias, gamma, map_mean, norm, maps, eps):
    return tuple(torch.empty_like(tensor) for tensor in (x, weight, bias, gamma, gamma))


def _setup_context(ctx, inputs, output):
    x, weight, bias, gamma, _, ctx.eps = inputs
    _, *statistics = output
    ctx.mark_non_differentiable(*statistics)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, weight, bias, gamma, *statistics)


def _backward(ctx, grad_out, *_):
    return *_backward_op(grad_out, *ctx.saved_tensors, ctx.eps), None


_op.register_autograd(_backward, setup_context=_setup_context)


def depthwise_grn(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-6
) -> Tensor:
    """grn(depthwise_conv2d(x, weight, bias), gamma, beta), see :func:`mmoverlock.ops.grn.grn`.

    Args:
        x: (B, C, H, W), which :func:`.branches.fit` takes.
        weight: (C, 1, K, K), K odd.
        bias: (C).
        gamma: (1, C, 1, 1).
        beta: (1, C, 1, 1).
        eps: Added to the mean norm.

    Returns:
        (B, C, H, W), in the layout of x. Differentiable once in all tensors.
    """
    return _op(x, weight, bias, gamma.flatten(1), beta.flatten(1), eps)[0]
