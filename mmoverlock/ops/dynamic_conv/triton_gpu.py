"""Dynamic convolution and ContMix on CUDA and ROCm devices, by Triton.

With TRITON_INTERPRET=1 the same kernels run on the CPU, very slowly: for tests. Triton is imported
when a kernel first runs, for it may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from . import folded
from .folded import accumulator

INSTALLED = find_spec('triton') is not None
CONTMIX, CONV = '.triton_kernels', '.triton_conv_kernels'

# A sum over the pixels of each map is done in parts, by about so many programs in all.
PROGRAMS = 1024


def unavailable(device: torch.device) -> str | None:
    """Needs Triton, and a device that it compiles for, or its interpreter."""
    if not INSTALLED:
        return 'triton is not installed'
    if device.type != 'cuda' and os.environ.get('TRITON_INTERPRET') != '1':
        return f'triton runs on CUDA and ROCm devices, not on {device}'
    return None


def _tiles(maps: int, height: int, width: int) -> Callable[[dict[str, int]], tuple[int]]:
    """The grid of a kernel whose program does BLOCK pixels of a map."""
    return lambda meta: (maps * -(-height * width // meta['BLOCK']),)


def _launch(
    module: str,
    name: str,
    grid: Callable | tuple[int],
    *args: Tensor | int,
    dtype: torch.dtype,
    **constants: int,
) -> None:
    """Run the kernel `name` of `module` where its first tensor is, with sums in `dtype`."""
    kernels = import_module(module, __package__)
    acc = getattr(kernels.tl, str(dtype).removeprefix('torch.'))
    with torch.cuda.device_of(args[0]):
        getattr(kernels, name)[grid](*args, ACC=acc, **constants)


def _constants(dtype: torch.dtype, **channels: int) -> dict[str, int | torch.dtype]:
    """Numbers of channels, and of those that tiles have, and the dtype of sums over `dtype`."""
    padded = {f'{name}_PAD': 1 << (n - 1).bit_length() for name, n in channels.items()}
    return channels | padded | {'dtype': accumulator(dtype)}


def _halves(
    keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor
) -> Iterator[tuple[int, Tensor, Tensor, tuple[Tensor, Tensor]]]:
    """Of each half: K, keys (B, G, c, K²), the same as (B, G, K², c), biases of taps, positions."""
    sizes = folded.kernel_sizes(rpb_small, rpb_large)
    taps = [size**2 for size in sizes]
    biases = zip(bias.split(taps), (rpb_small.contiguous(), rpb_large.contiguous()), strict=True)
    for size, part, pair in zip(sizes, keys.split(taps, -1), biases, strict=True):
        yield size, part.contiguous(), part.transpose(2, 3).contiguous(), pair


def _forward(
    query: Tensor, keys: Tensor, bias: Tensor, rpb_small: Tensor, rpb_large: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    query, value = query.contiguous(), value.contiguous()
    batch, _, groups, channels, height, width = value.shape
    constants = _constants(value.dtype, QUERY=query.shape[2], VALUE=channels)
    grid = _tiles(batch * groups, height, width)
    sizes = groups, height, width
    out = torch.empty_like(value)
    log_sum = value.new_empty((batch, 2, groups, height, width), dtype=constants['dtype'])
    for half, (size, _, rows, biases) in enumerate(_halves(keys, bias, rpb_small, rpb_large)):
        tensors = query, rows, *biases, *(x[:, half] for x in (value, out, log_sum))
        _launch(CONTMIX, 'contmix_forward', grid, *tensors, *sizes, K=size, **constants)
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
    query, value, grad_out = query.contiguous(), value.contiguous(), grad_out.contiguous()
    batch, _, groups, channels, height, width = value.shape
    constants = _constants(value.dtype, QUERY=query.shape[2], VALUE=channels)
    dtype = constants['dtype']
    maps = batch * groups
    grid = _tiles(maps, height, width)
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
        _launch(CONTMIX, 'contmix_grad_query', grid, *args, **constants)
        args = query, cols, *biases, *given, *sums, *sizes, parts
        _launch(CONTMIX, 'contmix_grad_keys', (maps * parts,), *args, **constants)
        args = query, cols, *biases, total, g, gv, *sizes
        _launch(CONTMIX, 'contmix_grad_value', grid, *args, **constants)
        grads.append([x.sum(axes) for x, axes in zip(sums, (2, (0, 1, 2), (0, 2)), strict=True)])
    grad_keys, grad_bias, grad_rpb = zip(*grads, strict=True)
    return (
        grad_query.sum(0).to(query.dtype),
        torch.cat(grad_keys, -1).to(keys.dtype),
        torch.cat(grad_bias).to(bias.dtype),
        *(x.to(rpb_small.dtype) for x in grad_rpb),
        grad_value,
    )


_contmix = folded.make_op('contmix_triton', _forward, _backward)


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
    query, value = query.contiguous(), value.contiguous()
    return folded.contmix(_contmix, query, key, value, proj_weight, proj_bias, rpb_small, rpb_large)


@torch.library.custom_op('mmoverlock::dynamic_conv2d_triton', mutates_args=())
def _dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    kernels, value = kernels.contiguous(), value.contiguous()
    out = torch.empty_like(value)
    _run_conv('conv_forward', kernels.shape[-1], kernels, value, out)
    return out


@torch.library.custom_op('mmoverlock::dynamic_conv2d_triton_backward', mutates_args=())
def _dynamic_conv2d_backward(
    kernels: Tensor, value: Tensor, grad_out: Tensor
) -> tuple[Tensor, Tensor]:
    kernels, value, grad_out = (x.contiguous() for x in (kernels, value, grad_out))
    grad_kernels, grad_value = torch.empty_like(kernels), torch.empty_like(value)
    _run_conv('conv_grad_kernels', kernels.shape[-1], value, grad_out, grad_kernels)
    _run_conv('conv_grad_value', kernels.shape[-1], kernels, grad_out, grad_value)
    return grad_kernels, grad_value


def _run_conv(name: str, taps: int, *tensors: Tensor) -> None:
    batch, groups, height, width, channels = tensors[1].shape
    grid = _tiles(batch * groups, height, width)
    constants = _constants(tensors[1].dtype, VALUE=channels)
    _launch(CONV, name, grid, *tensors, height, width, K=round(taps**0.5), **constants)


@_dynamic_conv2d.register_fake
def _(kernels, value):
    return torch.empty_like(value, memory_format=torch.contiguous_format)


@_dynamic_conv2d_backward.register_fake
def _(kernels, value, grad_out):
    return tuple(
        torch.empty_like(x, memory_format=torch.contiguous_format) for x in (kernels, value)
    )


_dynamic_conv2d.register_autograd(
    lambda ctx, grad_out: _dynamic_conv2d_backward(*ctx.saved_tensors, grad_out),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    return _dynamic_conv2d(kernels, value)
