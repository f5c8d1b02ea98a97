"""The MLP on the CPU: GELU, residual depthwise convolution and GRN as one operator.

The loops are in numba_kernels.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops._numba.simd import VECTOR_BYTES
from mmoverlock.ops._numba.tensors import (
    STRIP_BYTES,
    dense,
    empty_maps,
    overwritten,
    run,
    vectors_and_strips,
)
from mmoverlock.ops.autograd import differentiable, is_eager
from mmoverlock.ops.depthwise import reference as depthwise

from . import numba_kernels


def _plan(x: Tensor, size: int) -> tuple[int, tuple[int, ...]]:
    """How many pieces of work there are, and the sizes that the loops take."""
    height, width = x.shape[2:]
    vectors, strips = vectors_and_strips(x)
    strips = min(max(strips, height * width * VECTOR_BYTES // STRIP_BYTES), height)
    return vectors * strips, (*x.shape, size, strips)


def _results(x: Tensor, inplace: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for the result, for the norms of the channels, and for the convolution's result."""
    norm = x.new_empty(x.shape[:2], dtype=torch.float64)
    return x if inplace else torch.empty_like(x), norm, empty_maps(x)


def _compute(
    inplace: bool, x: Tensor, shift: Tensor, weight: Tensor, bias: Tensor, *others: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`_forward`, to the memory of x if so wanted."""
    x = dense(x)
    pieces, sizes = _plan(x, weight.shape[-1])
    results = _results(x, inplace)
    given = x, shift[:, None], weight.flatten(1), bias[:, None], *others
    run(numba_kernels.forward, pieces, *given, *results, sizes)
    return results


def _forward(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return _compute(False, x, shift, weight, bias, gamma, beta, eps)


def _backward(
    grad_out: Tensor,
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    norm: Tensor,
    y: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, sizes = _plan(x, weight.shape[-1])
    given = grad_out, x, shift[:, None], weight.flatten(1), gamma, norm, y, eps
    grads = tuple(torch.empty_like(tensor) for tensor in (x, shift, weight, bias, gamma, beta))
    grad_x, grad_shift, grad_weight, *others = grads
    flat_grads = grad_x, grad_shift, grad_weight.view(len(weight), -1), *others
    run(numba_kernels.backward, pieces, *given, flat_grads, sizes)
    return grads


def _formula(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
) -> Tensor:
    shift, gamma, beta = (one[:, None, None] for one in (shift, gamma, beta))
    h = F.gelu(x + shift)
    y = h + depthwise.forward(h, weight, bias, 1)
    norm = torch.linalg.vector_norm(y, dim=(2, 3), keepdim=True)
    return y * (gamma * (norm / (norm.mean(dim=1, keepdim=True) + eps)) + 1) + beta


_op = differentiable('gelu_conv_grn', _forward, _backward, lambda x, *_: _results(x), _formula)


def gelu_conv_grn(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float = 1e-6,
    inplace: bool = False,
) -> Tensor:
    """GRN(h + depthwise_conv2d(h, weight, bias)) with γ and β, where h = gelu(x + shift).

    Args:
        x: (B, C, H, W), float32 or float64.
        shift: (C).
        weight: (C, 1, K, K), K odd.
        bias: (C).
        gamma: (1, C, 1, 1).
        beta: (1, C, 1, 1).
        eps: Added to the mean norm.
        inplace: Overwrite x; only without gradients.

    Returns:
        (B, C, H, W), in the layout of x. Differentiable in all tensors.
    """
    inputs = shift, weight, bias, gamma.flatten(), beta.flatten(), eps
    if inplace and is_eager(x):
        return overwritten(_compute(True, x, *inputs)[0])
    return _op(x, *inputs)[0]


def conv_mlp(
    x: Tensor,
    expand: nn.Conv2d,
    act: nn.GELU,
    dwconv: nn.Module,
    norm: nn.Module,
    project: nn.Module,
) -> Tensor:
    """See :func:`mmoverlock.ops.conv_mlp`."""
    hidden = gelu_conv_grn(
        expand._conv_forward(x, expand.weight, None),
        expand.bias,
        dwconv.weight,
        dwconv.bias,
        norm.gamma,
        norm.beta,
        norm.eps,
        inplace=not torch.is_grad_enabled(),
    )
    return project(hidden)
