"""Dynamic convolution on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32.
"""

import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import dense, flat
from mmoverlock.ops.autograd import differentiable

from . import numba_kernels


def _planar(value: Tensor) -> Tensor:
    """(B, G, H, W, C) → (B, G, C, H, W), not moved in memory."""
    return value.movedim(-1, 2)


def _forward(kernels: Tensor, value: Tensor) -> Tensor:
    planar = _planar(value)
    out = torch.empty_like(planar)
    sizes = *planar.shape, round(kernels.shape[-1] ** 0.5)
    numba_kernels.dynamic_conv_forward(
        sizes[0] * sizes[1],
        torch.get_num_threads(),
        flat(kernels),
        flat(planar),
        planar.stride(),
        flat(out),
        sizes,
    )
    return out.movedim(2, -1)


def _backward(grad_out: Tensor, kernels: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    grad_out, planar = _planar(grad_out), _planar(value)
    grad_kernels, grad_value = torch.empty_like(kernels), torch.empty_like(planar)
    sizes = *planar.shape, round(kernels.shape[-1] ** 0.5)
    numba_kernels.dynamic_conv_backward(
        sizes[0] * sizes[1],
        torch.get_num_threads(),
        flat(grad_out),
        grad_out.stride(),
        flat(kernels),
        flat(planar),
        planar.stride(),
        flat(grad_kernels),
        flat(grad_value),
        sizes,
    )
    return grad_kernels, grad_value.movedim(2, -1)


def _fake_forward(kernels, value):
    return torch.empty_like(_planar(value)).movedim(2, -1)


def _fake_backward(grad_out, kernels, value):
    return torch.empty_like(kernels), torch.empty_like(_planar(value)).movedim(2, -1)


_op = differentiable(
    'dynamic_conv2d_numba',
    _forward,
    _fake_forward,
    _backward,
    _fake_backward,
    save=lambda inputs, outputs: (inputs, ()),
)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    dtype = value.dtype
    work = torch.promote_types(torch.promote_types(kernels.dtype, dtype), torch.float32)
    return _op(kernels.to(work).contiguous(), dense(value.to(work))).to(dtype)
