"""The MLP on the CPU: GELU, depthwise convolution and GRN as one operator.

The loops are in numba_kernels.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops._numba.simd import VECTOR_BYTES
from mmoverlock.ops._numba.tensors import (
    STRIP_BYTES,
    array,
    dense,
    empty_maps,
    flat,
    overwritten,
    vectors_and_strips,
)
from mmoverlock.ops.autograd import differentiable, is_eager

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


def _compute(results: tuple[Tensor, Tensor, Tensor], x: Tensor, *inputs: Tensor | float) -> None:
    """:func:`_forward` of a dense map into its :func:`_results`."""
    shift, weight, bias, gamma, beta, eps = inputs
    pieces, sizes = _plan(x, weight.shape[-1])
    out, norm, y = results
    numba_kernels.forward(
        pieces,
        torch.get_num_threads(),
        flat(x),
        x.stride(),
        array(shift),
        array(weight.flatten(1)),
        array(bias),
        array(gamma),
        array(beta),
        eps,
        flat(out),
        array(norm),
        flat(y),
        sizes,
    )


def _forward(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    x = dense(x)
    results = _results(x)
    _compute(results, x, shift, weight, bias, gamma, beta, eps)
    return results


def _fake_forward(x, shift, weight, bias, gamma, beta, eps):
    return _results(x)


def _backward(
    grad_out: Tensor,
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    norm: Tensor,
    y: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x = dense(x)
    pieces, sizes = _plan(x, weight.shape[-1])
    grad_x, *grads = (torch.empty_like(t) for t in (x, shift, weight, bias, gamma, gamma))
    numba_kernels.backward(
        pieces,
        torch.get_num_threads(),
        flat(grad_out),
        grad_out.stride(),
        flat(x),
        x.stride(),
        array(shift),
        array(weight.flatten(1)),
        array(bias),
        array(gamma),
        array(norm),
        flat(y),
        eps,
        flat(grad_x),
        *(array(grad.flatten(1) if grad.dim() > 1 else grad) for grad in grads),
        sizes,
    )
    return grad_x, *grads


def _fake_backward(grad_out, x, shift, weight, bias, gamma, norm, y, eps):
    return tuple(torch.empty_like(tensor) for tensor in (x, shift, weight, bias, gamma, gamma))


def _save(inputs, outputs):
    x, shift, weight, bias, gamma, _, eps = inputs
    return (x, shift, weight, bias, gamma, *outputs[1:]), (eps,)


_op = differentiable('gelu_conv_grn', _forward, _fake_forward, _backward, _fake_backward, _save)


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
    """GRN(depthwise_conv2d(gelu(x + shift), weight, bias)), with γ and β.

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
        (B, C, H, W), in the layout of x. Differentiable once in all tensors.
    """
    inputs = shift, weight, bias, gamma.flatten(), beta.flatten(), eps
    if not (inplace and is_eager(x)):
        return _op(x, *inputs)[0]
    x = dense(x)
    _compute(_results(x, inplace), x, *inputs)
    return overwritten(x)


def conv_mlp(
    x: Tensor,
    expand: nn.Conv2d,
    act: nn.GELU,
    dwconv: nn.Module,
    norm: nn.Module,
    project: nn.Module,
) -> Tensor:
    """See :func:`mmoverlock.ops.conv_mlp`."""
    identity = F.pad(dwconv.weight.new_ones(1, 1, 1, 1), (1, 1, 1, 1))  # h + dwconv(h)
    hidden = gelu_conv_grn(
        expand._conv_forward(x, expand.weight, None),
        expand.bias,
        dwconv.weight + identity,
        dwconv.bias,
        norm.gamma,
        norm.beta,
        norm.eps,
        inplace=not torch.is_grad_enabled(),
    )
    return project(hidden)
