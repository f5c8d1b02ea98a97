"""Depthwise convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import array, dense, flat, vectors_and_strips

from . import numba_kernels


def _prepare(
    x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int
) -> tuple[Tensor, np.ndarray, np.ndarray, int, tuple[int, int, int, int, int, int, int]]:
    """Map, weight (C, K·K) and bias (C, 1) in the dtype of the computation, vectors, and sizes."""
    work = torch.promote_types(x.dtype, torch.float32)
    x, taps = dense(x.to(work)), array(weight.to(work).reshape(len(weight), -1))
    bias = x.new_zeros(len(weight)) if bias is None else bias.to(work)
    vectors, strips = vectors_and_strips(x)
    return x, taps, array(bias[:, None]), vectors, (*x.shape, weight.shape[-1], dilation, strips)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """See :func:`mmoverlock.ops.depthwise_conv2d`."""
    dtype, threads = x.dtype, torch.get_num_threads()
    x, taps, bias, vectors, sizes = _prepare(x, weight, bias, dilation)
    out = torch.empty_like(x)
    pieces = vectors * sizes[-1]
    numba_kernels.forward(pieces, threads, flat(x), x.stride(), taps, bias, flat(out), sizes)
    return out.to(dtype)


def backward(grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight."""
    dtype = x.dtype
    x, taps, _, vectors, sizes = _prepare(x, weight, None, dilation)
    grad_out = grad_out.to(x.dtype)
    grad_x, grad_weight = torch.empty_like(x), x.new_empty(taps.shape)
    numba_kernels.backward(
        vectors * sizes[-1],
        torch.get_num_threads(),
        flat(grad_out),
        grad_out.stride(),
        flat(x),
        x.stride(),
        taps,
        flat(grad_x),
        array(grad_weight),
        sizes,
    )
    return grad_x.to(dtype), grad_weight.view(weight.shape).to(dtype)
