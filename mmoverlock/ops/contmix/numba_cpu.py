"""ContMix on the CPU, by loops that numba compiles on first use.

Half precisions are computed in float32. Nothing of size B·G·H·W·K² is made.
"""

import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import dense, run

from . import fused, numba_kernels


def _sizes(query: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor) -> tuple[int, ...]:
    """B, G, c, C, H, W, ks, kl and into how many strips each map is cut: a thread has one."""
    batch, groups, inner, height, width = query.shape
    strips = min(-(-torch.get_num_threads() // (batch * groups)), height)
    sizes = fused.kernel_sizes(rpb_small, rpb_large)
    return batch, groups, inner, value.shape[3], height, width, *sizes, strips


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    query, value = dense(query), dense(value)
    sizes = batch, groups, *_, strips = _sizes(query, rpb_small, rpb_large, value)
    out, log_sum = fused.empty_results(value)
    tables = rpb_small.flatten(), rpb_large.flatten()
    given = query, keys.flatten(), bias.contiguous(), value, out, log_sum.view(-1), tables
    run(numba_kernels.forward, batch * groups * strips, *given, sizes)
    return out, log_sum


def _backward(
    grad_out: Tensor,
    query: Tensor,
    keys: Tensor,
    bias: Tensor,
    rpb_small: Tensor,
    rpb_large: Tensor,
    value: Tensor,
    out: Tensor,
    log_sum: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    query, value = dense(query), dense(value)
    keys, bias, *tables = (x.contiguous() for x in (keys, bias, rpb_small, rpb_large))
    sizes = batch, groups, *_ = _sizes(query, *tables, value)
    grads = tuple(torch.empty_like(tensor) for tensor in (query, keys, bias, *tables, value))
    grad_query, grad_keys, grad_bias, *grad_tables, grad_value = grads
    run(
        numba_kernels.backward,
        batch * groups,
        (grad_out, query, keys.view(-1), bias, value, out, log_sum.view(-1)),
        tuple(table.view(-1) for table in tables),
        (grad_query, grad_keys.view(-1), grad_bias, grad_value),
        tuple(table.view(-1) for table in grad_tables),
        sizes,
    )
    return grads


contmix = fused.register('contmix_numba', _forward, _backward, half_precision=False)
