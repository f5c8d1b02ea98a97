"""Dynamic convolution on CUDA and ROCm devices, by Triton."""

from collections.abc import Callable

import torch
from torch import Tensor

from mmoverlock.ops._triton import launch, pixel_grid, tile_constants
from mmoverlock.ops.autograd import differentiable

from . import reference, triton_kernels


def _run(kernel: Callable, taps: int, *tensors: Tensor) -> None:
    batch, groups, height, width, channels = tensors[1].shape
    grid = pixel_grid(batch * groups, height, width)
    constants = tile_constants(tensors[1].dtype, VALUE=channels)
    launch(kernel, grid, *tensors, height, width, K=round(taps**0.5), **constants)


def _forward(kernels: Tensor, value: Tensor) -> Tensor:
    out = torch.empty_like(value)
    _run(triton_kernels.conv_forward, kernels.shape[-1], kernels, value, out)
    return out


def _backward(grad_out: Tensor, kernels: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    grad_out = grad_out.contiguous()
    grad_kernels, grad_value = torch.empty_like(kernels), torch.empty_like(value)
    _run(triton_kernels.conv_grad_kernels, kernels.shape[-1], value, grad_out, grad_kernels)
    _run(triton_kernels.conv_grad_value, kernels.shape[-1], kernels, grad_out, grad_value)
    return grad_kernels, grad_value


_op = differentiable(
    'dynamic_conv2d_triton',
    _forward,
    _backward,
    lambda kernels, value: torch.empty_like(value),
    reference.dynamic_conv2d,
)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    return _op(kernels.contiguous(), value.contiguous())
