"""Dynamic convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import dense, run
from mmoverlock.ops.autograd import differentiable

from . import numba_kernels, reference


def _planar(value: Tensor) -> Tensor:
    """(B, G, H, W, C) → (B, G, C, H, W), not moved in memory."""
    return value.movedim(-1, 2)


def _sizes(kernels: Tensor, value: Tensor) -> tuple[int, ...]:
    """G, H, W, C, K."""
    return *value.shape[1:], round(kernels.shape[-1] ** 0.5)


def _forward(kernels: Tensor, value: Tensor) -> Tensor:
    out, maps = torch.empty_like(value), value.shape[:2].numel()
    args = kernels.view(-1), _planar(value), _planar(out), _sizes(kernels, value)
    run(numba_kernels.forward, maps, *args)
    return out


def _backward(grad_out: Tensor, kernels: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    grad_kernels, grad_value = torch.empty_like(kernels), torch.empty_like(value)
    inputs = _planar(grad_out), kernels.view(-1), _planar(value)
    grads = grad_kernels.view(-1), _planar(grad_value)
    maps = value.shape[:2].numel()
    run(numba_kernels.backward, maps, *inputs, *grads, _sizes(kernels, value))
    return grad_kernels, grad_value


_op = differentiable(
    'dynamic_conv2d_numba',
    _forward,
    _backward,
    lambda kernels, value: torch.empty_like(value),
    reference.dynamic_conv2d,
)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    dtype = value.dtype
    work = torch.promote_types(torch.promote_types(kernels.dtype, dtype), torch.float32)
    return _op(kernels.to(work).contiguous(), dense(value.to(work))).to(dtype)
