"""Deformable convolution (Dai et al., 2017; modulated: Zhu et al., 2019) on torchvision's.

The numbers of groups follow from the shapes of weight and offset. ``columns``, ``ones`` and
``im2col_step`` are scratch space of the compiled operators and are not used.

A tap outside the map, ``y <= -1``, ``y >= H`` or likewise in x, reads 0, and mmcv gives its offset
no gradient. torchvision gives one to a tap exactly at -1, where every border tap of an untrained
layer with padding 1 is.
"""

from functools import partial

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d

from .numerics import fill_gradients, full


def _cut(x: Tensor, size: torch.Size) -> Tensor:
    """Offsets or masks (B, C, H, W) as mmcv reads them: as if each sample were C maps of ``size``.

    DyHead passes larger ones, made for the next finer level; what is left over is not read.
    """
    if x.shape[2:] == size:
        return x
    return x.flatten(1)[:, : x.size(1) * size.numel()].unflatten(1, (x.size(1), *size))


def _hold(
    offset: Tensor,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Offsets (B, G * kh * kw * 2, H_out, W_out), detached where the tap is outside the map."""
    shift = offset.unflatten(1, (-1, *kernel, 2))
    inside = True
    for axis in (0, 1):
        tap, place = (
            torch.arange(n, device=offset.device) for n in (kernel[axis], shift.size(axis - 2))
        )
        position = tap[:, None] * dilation[axis] + place * stride[axis] - padding[axis]
        # (kh, 1, H_out, 1) or (kw, 1, W_out)
        position = position[:, None, :, None] if axis == 0 else position[:, None]
        position = position + shift.select(4, axis)
        inside = inside & (position > -1) & (position < size[axis])
    return torch.where(inside.unsqueeze(4), shift, shift.detach()).reshape(offset.shape)


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills ``output`` (B, C_out, H_out, W_out); there is no bias."""
    geometry = dict(stride=(dH, dW), padding=(padH, padW), dilation=(dilationH, dilationW))
    output.copy_(deform_conv2d(full(input), full(offset), full(weight), **geometry))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills ``gradInput`` and ``gradOffset``."""
    geometry = dict(stride=(dH, dW), padding=(padH, padW), dilation=(dilationH, dilationW))

    def convolve(x: Tensor, shift: Tensor) -> Tensor:
        shift = _hold(shift, x.shape[2:], (kH, kW), **geometry)
        return deform_conv2d(x, shift, full(weight), **geometry)

    fill_gradients([gradInput, gradOffset], convolve, [input, offset], gradOutput)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Fills ``gradWeight`` with ``scale`` times the gradient."""
    geometry = dict(stride=(dH, dW), padding=(padH, padW), dilation=(dilationH, dilationW))
    convolve = partial(deform_conv2d, full(input), full(offset), **geometry)
    # linear: any kernel will do
    fill_gradients([gradWeight], convolve, [gradWeight], scale * gradOutput)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills ``output`` (B, C_out, H_out, W_out)."""
    stride, padding = (stride_h, stride_w), (pad_h, pad_w)
    geometry = dict(stride=stride, padding=padding, dilation=(dilation_h, dilation_w))
    offset, mask = (_cut(x, output.shape[2:]) for x in (offset, mask))
    tensors = [full(x) for x in (input, offset, weight)]
    bias = full(bias) if with_bias else None
    output.copy_(deform_conv2d(*tensors, bias, **geometry, mask=full(mask)))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills the five gradients, that of the bias only ``with_bias``."""
    stride, padding = (stride_h, stride_w), (pad_h, pad_w)
    geometry = dict(stride=stride, padding=padding, dilation=(dilation_h, dilation_w))

    def convolve(x: Tensor, shift: Tensor, kernel: Tensor, factor: Tensor) -> Tensor:
        shift, factor = (_cut(each, grad_output.shape[2:]) for each in (shift, factor))
        shift = _hold(shift, x.shape[2:], kernel.shape[2:], **geometry)
        return deform_conv2d(x, shift, kernel, **geometry, mask=factor)

    targets = [grad_input, grad_offset, grad_weight, grad_mask]
    fill_gradients(targets, convolve, [input, offset, weight, mask], grad_output)
    if with_bias:
        grad_bias.copy_(full(grad_output).sum((0, 2, 3)))
