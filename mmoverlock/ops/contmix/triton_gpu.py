"""ContMix on CUDA and ROCm devices, by Triton."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mmoverlock.ops._triton import launch, pixel_grid, tile_constants

from . import fused, triton_kernels

# A sum over the pixels of each map is done in parts, by about so many programs in all.
PROGRAMS = 1024


def _halves(
    keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor
) -> Iterator[tuple[int, Tensor, Tensor, tuple[Tensor, Tensor]]]:
    """Of each half: K, keys (B, G, c, K²), the same as (B, G, K², c), biases of taps, positions."""
    sizes = fused.kernel_sizes(rpb_small, rpb_large)
    taps = [size**2 for size in sizes]
    biases = zip(bias.split(taps), (rpb_small.contiguous(), rpb_large.contiguous()), strict=True)
    for size, part, pair in zip(sizes, keys.split(taps, -1), biases, strict=True):
        yield size, part.contiguous(), part.transpose(2, 3).contiguous(), pair


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    query, value = query.contiguous(), value.contiguous()
    batch, _, groups, channels, height, width = value.shape
    constants = tile_constants(value.dtype, QUERY=query.shape[2], VALUE=channels)
    grid = pixel_grid(batch * groups, height, width)
    sizes = groups, height, width
    out, log_sum = fused.empty_results(value)
    for half, (size, _, rows, biases) in enumerate(_halves(keys, bias, rpb_small, rpb_large)):
        tensors = query, rows, *biases, *(x[:, half] for x in (value, out, log_sum))
        launch(triton_kernels.contmix_forward, grid, *tensors, *sizes, K=size, **constants)
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
    query, value, grad_out = query.contiguous(), value.contiguous(), grad_out.contiguous()
    batch, _, groups, channels, height, width = value.shape
    constants = tile_constants(value.dtype, QUERY=query.shape[2], VALUE=channels)
    dtype = constants['dtype']
    maps = batch * groups
    grid = pixel_grid(maps, height, width)
    parts = min(-(-PROGRAMS // max(maps, 1)), height * width)
    sizes = groups, height, width
    delta = (grad_out.to(dtype) * out.to(dtype)).sum(3)
    grad_query = query.new_empty((2, *query.shape), dtype=dtype)
    grad_value = torch.empty_like(value)
    grads = []
    for half, (size, cols, rows, biases) in enumerate(_halves(keys, bias, rpb_small, rpb_large)):
        constants['K'] = size
        v, total, d, g, gv = (x[:, half] for x in (value, log_sum, delta, grad_out, grad_value))
        sums = [
            query.new_empty((batch, groups, parts, *shape), dtype=dtype)
            for shape in (cols.shape[2:], (size**2,), biases[1].shape[1:])
        ]
        given = v, total, d, g
        args = query, rows, *biases, *given, grad_query[half], *sizes
        launch(triton_kernels.contmix_grad_query, grid, *args, **constants)
        args = query, cols, *biases, *given, *sums, *sizes, parts
        launch(triton_kernels.contmix_grad_keys, (maps * parts,), *args, **constants)
        args = query, cols, *biases, total, g, gv, *sizes
        launch(triton_kernels.contmix_grad_value, grid, *args, **constants)
        grads.append([x.sum(axes) for x, axes in zip(sums, (2, (0, 1, 2), (0, 2)), strict=True)])
    grad_query = grad_query.sum(0).to(query.dtype)
    grad_keys, grad_bias, grad_rpb = zip(*grads, strict=True)
    return grad_query, torch.cat(grad_keys, -1), torch.cat(grad_bias), *grad_rpb, grad_value


contmix = fused.register('contmix_triton', _forward, _backward)
