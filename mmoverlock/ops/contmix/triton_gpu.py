"""ContMix on CUDA and ROCm devices, by Triton, on maps in channels_last."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mmoverlock.ops._triton import launch, pixel_grid, tile_constants
from mmoverlock.ops._triton.kernels import target

from . import fused, triton_kernels

# A sum over the pixels of each map is done in parts, by about so many programs in all.
PROGRAMS = 1024


def _pixels(maps: Tensor) -> Tensor:
    """(B, ..., C, H, W) → (B, H, W, ..., C), contiguous: no copy of what is channels_last."""
    return maps.movedim((-2, -1), (1, 2)).contiguous()


def _like(result: Tensor, pixels: Tensor) -> Tensor:
    """What is in `pixels`, in the shape and layout of `result`."""
    maps = pixels.movedim((1, 2), (-2, -1))
    return maps if maps.stride() == result.stride() else result.copy_(maps)


def _halves(
    keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor
) -> Iterator[tuple[int, tuple[Tensor, Tensor, Tensor]]]:
    """Of each half: K, and keys (B, G, K², c), biases of taps and of positions."""
    sizes = fused.kernel_sizes(rpb_small, rpb_large)
    taps = [size**2 for size in sizes]
    biases = zip(bias.split(taps), (rpb_small.contiguous(), rpb_large.contiguous()), strict=True)
    for size, part, pair in zip(sizes, keys.split(taps, -1), biases, strict=True):
        yield size, (part.transpose(2, 3).contiguous(), *pair)


def _precision(query: Tensor, size: int) -> str:
    """In which matrix units may multiply queries (B, G, c, H, W) with keys in float32, or 'none'.

    NVIDIA's do so in TF32, which holds a half precision exactly, and rounds keys no more than
    float16 does. They take 16 channels at a time, and here a row of the window: much of it would
    be padding with other channels and small windows. Where results must repeat, none does, as the
    forms of the kernel differ in the last bits.
    """
    padding = query.shape[2] % 16 or size <= 8
    if padding or query.dtype.itemsize > 2 or torch.are_deterministic_algorithms_enabled():
        return 'none'
    name = target()
    if name.startswith('sm_'):
        return 'tf32' if int(name.removeprefix('sm_')) >= 80 else 'none'
    return 'ieee'


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    batch, _, groups, channels, height, width = value.shape
    grid = pixel_grid(batch * groups, height, width)
    sizes = groups, height, width
    out, log_sum = fused.empty_results(value)
    queries, values = _pixels(query), _pixels(value)
    outs = torch.empty_like(values)
    for half, (size, weights) in enumerate(_halves(keys, bias, rpb_small, rpb_large)):
        maps = values[:, :, :, half], outs[:, :, :, half], log_sum[:, half]
        args = queries, *weights, *maps, *sizes
        constants = tile_constants(value.dtype, K=size, QUERY=query.shape[2], VALUE=channels)
        precision = _precision(query, size)
        launch(triton_kernels.contmix_forward, grid, *args, PRECISION=precision, **constants)
    return _like(out, outs), log_sum


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
    batch, _, groups, channels, height, width = value.shape
    constants = tile_constants(value.dtype, QUERY=query.shape[2], VALUE=channels)
    dtype = constants['dtype']
    maps = batch * groups
    grid = pixel_grid(maps, height, width)
    parts = min(-(-PROGRAMS // max(maps, 1)), height * width)
    sizes = groups, height, width
    delta = (grad_out.to(dtype) * out.to(dtype)).sum(3).contiguous()
    queries, values, grads_out = _pixels(query), _pixels(value), _pixels(grad_out)
    grad_query = queries.new_empty((2, *queries.shape), dtype=dtype)
    grad_value = torch.empty_like(values)
    grads = []
    for half, (size, weights) in enumerate(_halves(keys, bias, rpb_small, rpb_large)):
        constants['K'] = size
        v, g, gv = (x[:, :, :, half] for x in (values, grads_out, grad_value))
        total, d = log_sum[:, half], delta[:, half]
        rows, _, rpb = weights
        sums = [
            query.new_empty((batch, groups, parts, *shape), dtype=dtype)
            for shape in (rows.shape[2:], (size**2,), rpb.shape[1:])
        ]
        args = queries, *weights, v, total, d, g, grad_query[half], *sizes
        launch(triton_kernels.contmix_grad_query, grid, *args, **constants)
        args = queries, *weights, v, total, d, g, *sums, *sizes, parts
        launch(triton_kernels.contmix_grad_keys, (maps * parts,), *args, **constants)
        args = queries, *weights, total, g, gv, *sizes
        launch(triton_kernels.contmix_grad_value, grid, *args, **constants)
        grads.append([x.sum(axes) for x, axes in zip(sums, (2, (0, 1, 2), (0, 2)), strict=True)])
    grad_query = _like(torch.empty_like(query), grad_query.sum(0).to(query.dtype))
    grad_value = _like(torch.empty_like(value), grad_value)
    grad_rows, grad_bias, grad_rpb = zip(*grads, strict=True)
    grad_keys = torch.cat(grad_rows, 2).transpose(2, 3).contiguous()
    return grad_query, grad_keys, torch.cat(grad_bias), *grad_rpb, grad_value


contmix = fused.register('contmix_triton', _forward, _backward)
