"""Depthwise convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import dense, run, vectors_and_strips

from . import numba_kernels


def _prepare(
    x: Tensor, weight: Tensor, dilation: int
) -> tuple[Tensor, Tensor, int, tuple[int, ...]]:
    """Map and weight (C, K·K) in the dtype of the computation, pieces of work, and sizes."""
    work = torch.promote_types(x.dtype, torch.float32)
    x, taps = dense(x.to(work)), weight.to(work).flatten(1)
    vectors, strips = vectors_and_strips(x)
    return x, taps, vectors * strips, (*x.shape, weight.shape[-1], dilation, strips)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """See :func:`mmoverlock.ops.depthwise_conv2d`."""
    dtype = x.dtype
    x, taps, pieces, sizes = _prepare(x, weight, dilation)
    bias = x.new_zeros(len(weight)) if bias is None else bias.to(x.dtype)
    out = torch.empty_like(x)
    run(numba_kernels.forward, pieces, x, taps, bias[:, None], out, sizes)
    return out.to(dtype)


def backward(grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight."""
    dtype = x.dtype
    x, taps, pieces, sizes = _prepare(x, weight, dilation)
    grad_x, grad_taps = torch.empty_like(x), taps.new_empty(taps.shape)
    run(numba_kernels.backward, pieces, grad_out.to(x.dtype), x, taps, grad_x, grad_taps, sizes)
    return grad_x.to(dtype), grad_taps.view(weight.shape).to(dtype)
