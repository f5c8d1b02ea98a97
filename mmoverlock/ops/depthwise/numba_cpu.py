"""Depthwise convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmoverlock.ops.numba_tensors import dense, flat, in_vectors, of_channels
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_kernels

STRIP_BYTES = 1 << 17  # of a map in scratch memory, when it is overwritten: half a cache


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


def per_image(sums: Tensor, x: Tensor, strips: int) -> Tensor:
    """Sums over pieces, (pieces, N, lanes), as sums over the images of x, (B, N, C), in float64."""
    sums = sums.view(len(x), -1, strips, *sums.shape[1:]).sum(2, dtype=torch.float64)
    return of_channels(sums, x.shape[1])


def _prepare(
    x: Tensor, weight: Tensor, dilation: int
) -> tuple[Tensor, Tensor, int, tuple[int, int, int, int, int, int, int]]:
    """Map and taps in the dtype of the computation, how many vectors, and the kernels' sizes."""
    work = torch.promote_types(x.dtype, torch.float32)
    x, taps = dense(x.to(work)), in_vectors(weight.flatten(1).t().to(work))
    vectors, strips = vectors_and_strips(x)
    return x, taps, vectors, (*x.shape, weight.shape[-1], dilation, strips)


def _bias_in_vectors(bias: Tensor | None, x: Tensor) -> Tensor:
    bias = x.new_zeros(x.shape[1]) if bias is None else bias.to(x.dtype)
    return in_vectors(bias[None])


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """See :func:`mmoverlock.ops.depthwise_conv2d`."""
    dtype = x.dtype
    x, taps, vectors, sizes = _prepare(x, weight, dilation)
    out = torch.empty_like(x)
    numba_kernels.forward(
        vectors * sizes[-1],
        torch.get_num_threads(),
        flat(x),
        x.stride(),
        flat(taps),
        flat(_bias_in_vectors(bias, x)),
        flat(out),
        sizes,
    )
    return out.to(dtype)


def overwrite(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """:func:`forward`, the result of which takes the place of x, a dense float32 or float64 map."""
    x, taps, vectors, sizes = _prepare(x, weight, dilation)
    rows = max(STRIP_BYTES // (x.shape[3] * VECTOR_BYTES), 1)
    numba_kernels.overwrite(
        vectors,
        torch.get_num_threads(),
        flat(x),
        x.stride(),
        flat(taps),
        flat(_bias_in_vectors(bias, x)),
        (*sizes[:-1], min(rows, x.shape[2])),
    )
    return x


def backward(grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight."""
    dtype = x.dtype
    x, taps, vectors, sizes = _prepare(x, weight.flip(2, 3), dilation)
    grad_out = grad_out.to(x.dtype)
    grad_x = torch.empty_like(x)
    grad_taps = taps.new_zeros(vectors * sizes[-1], *taps.shape[1:])
    numba_kernels.backward(
        len(grad_taps),
        torch.get_num_threads(),
        flat(grad_out),
        grad_out.stride(),
        flat(x),
        x.stride(),
        flat(taps),
        flat(grad_x),
        flat(grad_taps),
        sizes,
    )
    grad_weight = per_image(grad_taps, x, sizes[-1]).sum(0).t().reshape(weight.shape)
    return grad_x.to(dtype), grad_weight.to(dtype)
