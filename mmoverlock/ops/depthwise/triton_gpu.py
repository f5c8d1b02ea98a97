"""Depthwise convolution on CUDA and ROCm devices, by Triton, with sums in float32 at least."""

import torch
from torch import Tensor

from mmoverlock.ops._triton import launch

from . import triton_kernels

PROGRAMS = 1024  # about so many are wanted for the weight's gradient


def _constants(x: Tensor, weight: Tensor, dilation: int) -> dict[str, int | torch.dtype]:
    dtype = torch.promote_types(x.dtype, torch.float32)
    return dict(dtype=dtype, K=weight.shape[-1], DILATION=dilation, LAST=x.stride(1) == 1)


def dense(x: Tensor) -> Tensor:
    """The map, or a copy in the layout of `empty_like` if its elements overlap or leave gaps."""
    like = torch.empty_like(x, device='meta')
    return x if like.stride() == x.stride() else torch.empty_like(x).copy_(x)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """See :func:`mmoverlock.ops.depthwise_conv2d`."""
    x, taps = dense(x), weight.flatten(1).t().contiguous()
    batch, channels, height, width = x.shape
    bias = weight.new_zeros(channels) if bias is None else bias.contiguous()
    out = torch.empty_like(x)

    def grid(meta: dict[str, int]) -> tuple[int, int, int]:
        return -(-height * width // meta['PIXELS']), -(-channels // meta['CHANNELS']), batch

    args = x, taps, bias, out, channels, height, width, *x.stride()
    launch(triton_kernels.convolve, grid, *args, **_constants(x, weight, dilation))
    return out


def backward(grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight. There are no atomics: results repeat exactly."""
    x, grad_out = dense(x), dense(grad_out)
    batch, channels, height, width = x.shape
    taps = weight.shape[-1] ** 2
    grad_x = forward(grad_out, weight.flip(2, 3), None, dilation)
    parts = min(-(-PROGRAMS // (taps * -(-channels // 32))), batch * height)
    constants = _constants(x, weight, dilation)
    sums = x.new_empty((parts, taps, channels), dtype=constants['dtype'])

    def grid(meta: dict[str, int]) -> tuple[int, int]:
        return taps * parts, -(-channels // meta['CHANNELS'])

    args = x, grad_out, sums, batch, channels, height, width, *x.stride(), *grad_out.stride(), parts
    launch(triton_kernels.correlate, grid, *args, **constants)
    return grad_x, sums.sum(0).t().reshape(weight.shape).to(weight.dtype)
