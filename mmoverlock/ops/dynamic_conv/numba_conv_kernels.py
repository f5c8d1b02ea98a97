"""Loops of dynamic convolution for the numba backend: numba_kernels.py without a softmax."""

from __future__ import annotations

from numba import njit

from mmoverlock.ops.numba_maps import COMPILE, TILE, pack, padded, scratch, tiled, unpack
from mmoverlock.ops.simd import lanes
from mmoverlock.ops.threads import share

from .numba_kernels import gather, pack_planes, project_window, scatter, window_start


@njit(**COMPILE)
def dynamic_conv_forward_piece(n, kernels, value, strides, out, sizes):
    """`kernels` is contiguous, `out` has the strides of `value`.

    sizes: B, G, C, H, W, K.
    """
    batch, groups, channels, height, width, size = sizes
    taps, step = size * size, padded(channels, value)
    one = value.dtype.type(1)
    rows = scratch(height * width * step, value)
    mixed = scratch(width * step, value)
    value_n = n // groups * strides[0] + n % groups * strides[1]
    pack(value, value_n, strides, channels, 0, height, width, rows, 0, width * step)
    for i in range(height):
        row = window_start(i, height, size)
        for j in range(width):
            at = ((n * height + i) * width + j) * taps
            start = (row * width + window_start(j, width, size)) * step
            kernel = kernels[at : at + taps]
            gather(kernel, rows, start, width * step, size, step, mixed, j * step, one)
        unpack(mixed, out, value_n, strides, channels, i, i + 1, width, 0, False)


@njit(**COMPILE)
def dynamic_conv_forward(pieces, threads, *args):
    """:func:`dynamic_conv_forward_piece` for every piece."""
    share(dynamic_conv_forward_piece, pieces, threads, args)


@njit(**COMPILE)
def dynamic_conv_backward_piece(
    n, grad_out, grad_strides, kernels, value, strides, grad_kernels, grad_value, sizes
):
    """Gradients of both, in the layouts of `kernels` and `value`."""
    batch, groups, channels, height, width, size = sizes
    taps, step = size * size, padded(channels, value)
    plane = padded(height * width, value) + lanes(value)
    planes = scratch(channels * plane + TILE * width, value)
    grad_rows = scratch(height * width * step, value)
    grads = scratch(width * step, value)
    grad_kernel = scratch(tiled(size) * size + 2 * lanes(value), value)
    value_n = n // groups * strides[0] + n % groups * strides[1]
    grad_n = n // groups * grad_strides[0] + n % groups * grad_strides[1]
    pack_planes(value, value_n, strides, channels, height, width, plane, planes)
    for i in range(height):
        row = window_start(i, height, size)
        pack(grad_out, grad_n, grad_strides, channels, i, i + 1, width, grads, 0, 0)
        for j in range(width):
            at = ((n * height + i) * width + j) * taps
            start = row * width + window_start(j, width, size)
            project_window(
                grads, j * step, channels, planes, plane, start, width, size, grad_kernel
            )
            for t in range(taps):
                grad_kernels[at + t] = grad_kernel[t]
            kernel = kernels[at : at + taps]
            scatter(kernel, grads, j * step, grad_rows, start * step, width * step, size, step)
    unpack(grad_rows, grad_value, value_n, strides, channels, 0, height, width, width * step, False)


@njit(**COMPILE)
def dynamic_conv_backward(pieces, threads, *args):
    """:func:`dynamic_conv_backward_piece` for every piece."""
    share(dynamic_conv_backward_piece, pieces, threads, args)
