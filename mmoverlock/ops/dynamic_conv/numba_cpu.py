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


def _sizes(query: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor) -> tuple[int, ...]:
    """B, G, c, C, H, W, ks, kl and into how many strips each map is cut: a thread has one."""
    batch, groups, inner, height, width = query.shape
    strips = min(-(-torch.get_num_threads() // (batch * groups)), height)
    sizes = folded.kernel_sizes(rpb_small, rpb_large)
    return batch, groups, inner, value.shape[3], height, width, *sizes, strips


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    query, value = dense(query), dense(value)
    sizes = batch, groups, *_, strips = _sizes(query, rpb_small, rpb_large, value)
    out = torch.empty_like(value)
    log_sum = value.new_empty(batch, 2, groups, *value.shape[4:])
    numba_kernels.contmix_forward(
        batch * groups * strips,
        torch.get_num_threads(),
        (
            flat(query),
            query.stride(),
            flat(keys.contiguous()),
            flat(bias.contiguous()),
            flat(value),
            value.stride(),
            flat(out),
            flat(log_sum),
        ),
        (flat(rpb_small.contiguous()), flat(rpb_large.contiguous())),
        sizes,
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
    keys, bias, *tables = (x.contiguous() for x in (keys, bias, rpb_small, rpb_large))
    sizes = batch, groups, *_ = _sizes(query, *tables, value)
    grads = tuple(torch.empty_like(tensor) for tensor in (query, keys, bias, *tables, value))
    grad_query, grad_keys, grad_bias, *grad_tables, grad_value = map(flat, grads)
    numba_kernels.contmix_backward(
        batch * groups,
        torch.get_num_threads(),
        (
            flat(grad_out),
            grad_out.stride(),
            flat(out),
            flat(log_sum),
            flat(query),
            query.stride(),
            flat(keys),
            flat(bias),
            flat(value),
            value.stride(),
        ),
        tuple(map(flat, tables)),
        (grad_query, grad_keys, grad_value),
        grad_bias,
        tuple(grad_tables),
        sizes,
    )
    return grads


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
