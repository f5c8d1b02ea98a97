"""Depthwise convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops.numba_maps import TILE
from mmoverlock.ops.numba_tensors import array, dense, flat, overwritten
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_kernels

STRIP_BYTES = 1 << 17  # of a map in scratch memory, where it goes through strip by strip


def unavailable(device: torch.device) -> str | None:
    """The CPU alone."""
    return None if device.type == 'cpu' else f'numba runs on the CPU, not on {device}'


def vectors_and_strips(x: Tensor) -> tuple[int, int]:
    """How many vectors the channels of all images fill, and into how many strips each map is cut.

    That is until every thread has two pieces of work.
    """
    batch, channels, height, _ = x.shape
    vectors = batch * -(-channels * x.dtype.itemsize // VECTOR_BYTES)
    return vectors, min(-(-2 * torch.get_num_threads() // vectors), height)


def empty_maps(x: Tensor, number: int = 1) -> Tensor:
    """Memory for `number` maps of the size of x, padded to whole vectors and tiles."""
    height, width = x.shape[2:]
    vectors, _ = vectors_and_strips(x)
    lanes, tiles = VECTOR_BYTES // x.dtype.itemsize, -(-width // TILE)
    return x.new_empty(vectors * number * height * tiles * TILE * lanes)


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


def overwrite(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """:func:`forward`, the result of which takes the place of x, a dense float32 or float64 map."""
    x, taps, bias, vectors, sizes = _prepare(x, weight, bias, dilation)
    rows = max(STRIP_BYTES // (x.shape[3] * VECTOR_BYTES), 1)
    sizes, threads = (*sizes[:-1], min(rows, x.shape[2])), torch.get_num_threads()
    numba_kernels.overwrite(vectors, threads, flat(x), x.stride(), taps, bias, sizes)
    return overwritten(x)


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
