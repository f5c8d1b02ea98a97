"""Dynamic convolution and ContMix on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32. Nothing of size B·G·H·W·K² is made by `contmix`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmoverlock.ops.numba_tensors import dense, flat

from . import folded, numba_conv_kernels, numba_kernels


def unavailable(device: torch.device) -> str | None:
    """The CPU alone."""
    return None if device.type == 'cpu' else f'numba runs on the CPU, not on {device}'


class NumbaDynamicConv2d(torch.autograd.Function):
    """Forward and backward of :func:`dynamic_conv2d`, in the dtype of the inputs."""

    @staticmethod
    def forward(ctx, kernels: Tensor, value: Tensor) -> Tensor:
        kernels, value = kernels.contiguous(), dense(value)
        ctx.save_for_backward(kernels, value)
        planar = value.movedim(-1, 2)  # (B, G, C, H, W), not moved in memory
        ctx.sizes = (*planar.shape, round(kernels.shape[-1] ** 0.5))
        out = torch.empty_like(planar)
        numba_conv_kernels.dynamic_conv_forward(
            ctx.sizes[0] * ctx.sizes[1],
            torch.get_num_threads(),
            flat(kernels),
            flat(planar),
            planar.stride(),
            flat(out),
            ctx.sizes,
        )
        return out.movedim(2, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor) -> tuple[Tensor, Tensor]:
        kernels, value = ctx.saved_tensors
        grad_out, planar = grad_out.movedim(-1, 2), value.movedim(-1, 2)
        grad_kernels, grad_value = torch.empty_like(kernels), torch.empty_like(planar)
        numba_conv_kernels.dynamic_conv_backward(
            ctx.sizes[0] * ctx.sizes[1],
            torch.get_num_threads(),
            flat(grad_out),
            grad_out.stride(),
            flat(kernels),
            flat(planar),
            planar.stride(),
            flat(grad_kernels),
            flat(grad_value),
            ctx.sizes,
        )
        return grad_kernels, grad_value.movedim(2, -1)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    dtype = value.dtype
    work = folded.accumulator(torch.promote_types(kernels.dtype, dtype))
    return NumbaDynamicConv2d.apply(kernels.to(work), value.to(work)).to(dtype)


def _halves(keys, bias, rpb_small, rpb_large, *whole):
    """What each half of ContMix reads and writes: its keys, biases and part of (B, 2, ...) maps."""
    sizes = folded.kernel_sizes(rpb_small, rpb_large)
    taps = [size**2 for size in sizes]
    return zip(
        sizes,
        [part.contiguous() for part in keys.split(taps, -1)],
        bias.split(taps),
        (rpb_small.contiguous(), rpb_large.contiguous()),
        *(tensor.unbind(1) for tensor in whole),
        strict=True,
    )


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    query, value = dense(query), dense(value)
    batch, groups, inner, height, width = query.shape
    out = torch.empty_like(value)
    log_sum = value.new_empty(batch, 2, groups, height, width)
    threads = torch.get_num_threads()
    strips = min(-(-threads // (batch * groups)), height)
    halves = _halves(keys, bias, rpb_small, rpb_large, value, out, log_sum)
    for size, keys_h, bias_h, rpb, value_h, out_h, log_sum_h in halves:
        numba_kernels.contmix_forward(
            batch * groups * strips,
            threads,
            flat(query),
            query.stride(),
            flat(keys_h),
            flat(bias_h),
            flat(rpb),
            flat(value_h),
            value_h.stride(),
            flat(out_h),
            flat(log_sum_h),
            log_sum_h.stride(),
            (batch, groups, inner, value.shape[3], height, width, size, strips),
        )
    return out, log_sum


def _backward(
    grad_out: Tensor,
    out: Tensor,
    log_sum: Tensor,
    query: Tensor,
    keys: Tensor,
    bias: Tensor,
    rpb_small: Tensor,
    rpb_large: Tensor,
    value: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    query, value = dense(query), dense(value)
    batch, groups, inner, height, width = query.shape
    grad_query, grad_value = torch.zeros_like(query), torch.empty_like(value)
    grads = []  # of each half: keys, bias and rpb
    halves = _halves(keys, bias, rpb_small, rpb_large, grad_out, out, log_sum, value, grad_value)
    for size, keys_h, bias_h, rpb, grad_h, out_h, log_sum_h, value_h, grad_value_h in halves:
        grad_keys = torch.zeros_like(keys_h)
        grad_bias = keys.new_zeros(batch, groups, size**2)  # a map's threads share nothing
        grad_rpb = keys.new_zeros(batch, *rpb.shape)
        numba_kernels.contmix_backward(
            batch * groups,
            torch.get_num_threads(),
            flat(grad_h),
            grad_h.stride(),
            flat(out_h),
            flat(log_sum_h),
            log_sum_h.stride(),
            flat(query),
            query.stride(),
            flat(keys_h),
            flat(bias_h),
            flat(rpb),
            flat(value_h),
            value_h.stride(),
            flat(grad_query),
            flat(grad_keys),
            flat(grad_bias),
            flat(grad_rpb),
            flat(grad_value_h),
            (batch, groups, inner, value.shape[3], height, width, size, 1),
        )
        grads.append((grad_keys, grad_bias.sum((0, 1)), grad_rpb.sum(0)))
    (keys_s, bias_s, rpb_s), (keys_l, bias_l, rpb_l) = grads
    grad_keys, grad_bias = torch.cat((keys_s, keys_l), -1), torch.cat((bias_s, bias_l))
    return grad_query, grad_keys, grad_bias, rpb_s, rpb_l, grad_value


contmix_op = folded.make_op('contmix_numba', _forward, _backward)


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
    """See :func:`mmoverlock.ops.contmix`."""
    tensors = (query, key, value, proj_weight, proj_bias, rpb_small, rpb_large)
    return folded.contmix(contmix_op, *tensors, half_precision=False)
