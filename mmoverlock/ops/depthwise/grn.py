"""GELU, depthwise convolution and GRN, one behind the other, on the CPU.

They stand in every MLP, on the widest maps of the network, which cost more to read and write than
to convolve. The loops are in numba_grn.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmoverlock.ops.numba_tensors import array, dense, flat, overwritten
from mmoverlock.ops.operator import make_operator, ordinary
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_grn
from .numba_cpu import STRIP_BYTES, empty_maps, vectors_and_strips


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
    numba_grn.forward(
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
    numba_grn.backward(
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


def _keep(inputs, output):
    x, shift, weight, bias, gamma, _, eps = inputs
    return (x, shift, weight, bias, gamma, *output[1:]), (eps,)


_op = make_operator('gelu_depthwise_grn', _forward, _fake_forward, _backward, _fake_backward, _keep)


def gelu_depthwise_grn(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float = 1e-6,
    inplace: bool = False,
) -> Tensor:
    """grn(depthwise_conv2d(gelu(x + shift), weight, bias), gamma, beta).

    See :func:`mmoverlock.ops.depthwise_conv2d` and :func:`mmoverlock.ops.grn.grn`.

    Args:
        x: (B, C, H, W), which :func:`.fused.fit` takes.
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
    if not (inplace and ordinary(x)):
        return _op(x, *inputs)[0]
    x = dense(x)
    _compute(_results(x, inplace), x, *inputs)
    return overwritten(x)
