"""Dynamic convolution on the CPU: loops that numba compiles on first use.

Nothing is unfolded: each kernel reads the value map in place, channels innermost so that they fill
the vector registers. Half precisions are computed in float32.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor
from torch.autograd.function import once_differentiable

from .reference import position_bias

# Sums may be reordered, as in any BLAS; NaN and infinity keep their meaning.
COMPILE = dict(
    parallel=True, cache=True, nogil=True, error_model='numpy', fastmath={'reassoc', 'contract'}
)


def unavailable(device: torch.device) -> str | None:
    """The CPU alone."""
    return None if device.type == 'cpu' else f'numba runs on the CPU, not on {device}'


@njit(**COMPILE)
def _forward(kernels, value, out, size):
    maps, height, width, channels = value.shape
    for row in prange(maps * height):
        n, i = row // height, row % height
        top = min(max(i - size // 2, 0), height - size)
        for j in range(width):
            left = min(max(j - size // 2, 0), width - size)
            for c in range(channels):
                out[n, i, j, c] = 0
            for a in range(size):
                for b in range(size):
                    weight = kernels[n, i, j, a * size + b]
                    for c in range(channels):
                        out[n, i, j, c] += weight * value[n, top + a, left + b, c]


@njit(**COMPILE)
def _grad_kernels(value, grad_out, grad_kernels, size):
    maps, height, width, channels = value.shape
    for row in prange(maps * height):
        n, i = row // height, row % height
        top = min(max(i - size // 2, 0), height - size)
        for j in range(width):
            left = min(max(j - size // 2, 0), width - size)
            for a in range(size):
                for b in range(size):
                    total = value.dtype.type(0)
                    for c in range(channels):
                        total += grad_out[n, i, j, c] * value[n, top + a, left + b, c]
                    grad_kernels[n, i, j, a * size + b] = total


@njit(**COMPILE)
def _grad_value(kernels, grad_out, grad_value, size):
    # Neighbouring pixels add to the same values, so a map is one thread's work.
    maps, height, width, channels = grad_out.shape
    for n in prange(maps):
        for i in range(height):
            top = min(max(i - size // 2, 0), height - size)
            for j in range(width):
                left = min(max(j - size // 2, 0), width - size)
                for a in range(size):
                    for b in range(size):
                        weight = kernels[n, i, j, a * size + b]
                        for c in range(channels):
                            grad_value[n, top + a, left + b, c] += weight * grad_out[n, i, j, c]


def _maps(tensor: Tensor, dtype: torch.dtype) -> np.ndarray:
    """(B, G, H, W, N) tensor → contiguous (B·G, H, W, N) array, without a copy where possible."""
    return tensor.detach().to(dtype).contiguous().flatten(0, 1).numpy()


def _follow_torch_threads() -> None:
    """Use as many threads as torch. numba may reset the count when it starts: they share OpenMP."""
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


class NumbaDynamicConv2d(torch.autograd.Function):
    """Forward and backward of :func:`dynamic_conv2d`, in the dtype of the inputs."""

    @staticmethod
    def forward(ctx, kernels: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(kernels, value)
        ctx.size = round(kernels.shape[-1] ** 0.5)
        out = torch.empty(value.shape, dtype=value.dtype)
        _follow_torch_threads()
        _forward(*(_maps(tensor, out.dtype) for tensor in (kernels, value, out)), ctx.size)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None]:
        kernels, value = ctx.saved_tensors
        dtype = value.dtype
        grad_out = _maps(grad_out, dtype)
        grad_kernels = grad_value = None
        _follow_torch_threads()
        if ctx.needs_input_grad[0]:
            grad_kernels = torch.empty(kernels.shape, dtype=dtype)
            _grad_kernels(_maps(value, dtype), grad_out, _maps(grad_kernels, dtype), ctx.size)
        if ctx.needs_input_grad[1]:
            grad_value = torch.zeros(value.shape, dtype=dtype)
            _grad_value(_maps(kernels, dtype), grad_out, _maps(grad_value, dtype), ctx.size)
        return grad_kernels, grad_value


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    dtype = value.dtype
    work = torch.promote_types(torch.promote_types(kernels.dtype, dtype), torch.float32)
    return NumbaDynamicConv2d.apply(kernels.to(work), value.to(work)).to(dtype)


def contmix(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    rpb_small: Tensor,
    rpb_large: Tensor,
    small_kernel: int,
    large_kernel: int,
) -> Tensor:
    """See :func:`mmoverlock.ops.contmix`.

    The projection is folded into the keys, so that the logits come straight from the queries and
    the (B, G, H, W, L) affinities never exist.
    """
    size = value.shape[-2:]
    parts = (small_kernel**2, large_kernel**2)
    queries = query.flatten(3).transpose(2, 3)  # (B, G, H·W, c)
    halves = []
    for weight, bias, rpb, half in zip(
        proj_weight.split(parts),
        proj_bias.split(parts),
        (rpb_small, rpb_large),
        value.unbind(1),
        strict=True,
    ):
        logits = (queries @ (key @ weight.t())).unflatten(2, size)  # (B, G, H, W, K·K)
        kernels = (logits + (position_bias(rpb, size) + bias)).softmax(-1)
        mixed = dynamic_conv2d(kernels, half.permute(0, 1, 3, 4, 2))
        halves.append(mixed.permute(0, 1, 4, 2, 3).flatten(1, 2))
    return torch.cat(halves, dim=1)
