"""Loops of dynamic convolution for the numba backend: numba_kernels.py without a softmax."""

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import TILE, pack, padded, scratch, unpack
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import lanes
from mmoverlock.ops._numba.windows import (
    gather,
    pack_planes,
    project,
    row_pitch,
    scatter,
    window_start,
)


@jit
def dynamic_conv_forward_piece(n, kernels, value, strides, out, sizes):
    """`kernels` is contiguous, `out` has the strides of `value`.

    sizes: B, G, C, H, W, K.
    """
    batch, groups, channels, height, width, size = sizes
    taps, step = size * size, padded(channels, value)
    rows = scratch(height * width * step, value)
    mixed = scratch(width * step, value)
    value_n = n // groups * strides[0] + n % groups * strides[1]
    pack(value, value_n, strides, channels, 0, height, width, rows, 0, width * step)
    for i in range(height):
        row = window_start(i, height, size)
        kernels_i = kernels[(n * height + i) * width * taps :]
        gather(kernels_i, taps, rows, row, width, size, step, mixed)
        unpack(mixed, out, value_n, strides, channels, i, i + 1, width, 0, False)


@jit
def dynamic_conv_forward(pieces, threads, *args):
    """:func:`dynamic_conv_forward_piece` for every piece."""
    parallel_for(dynamic_conv_forward_piece, pieces, threads, args)


@jit
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
    line = row_pitch(size, value)
    projected = scratch(width * line, value)
    value_n = n // groups * strides[0] + n % groups * strides[1]
    grad_n = n // groups * grad_strides[0] + n % groups * grad_strides[1]
    pack_planes(value, value_n, strides, channels, height, width, plane, planes)
    for i in range(height):
        row = window_start(i, height, size)
        pack(grad_out, grad_n, grad_strides, channels, i, i + 1, width, grads, 0, 0)
        project(grads, step, channels, planes, plane, row, width, size, projected)
        at = (n * height + i) * width * taps
        for j in range(width):
            for t in range(taps):
                grad_kernels[at + j * taps + t] = projected[j * line + t]
        scatter(kernels[at:], taps, grads, width, size, step, grad_rows, row)
    unpack(grad_rows, grad_value, value_n, strides, channels, 0, height, width, width * step, False)


@jit
def dynamic_conv_backward(pieces, threads, *args):
    """:func:`dynamic_conv_backward_piece` for every piece."""
    parallel_for(dynamic_conv_backward_piece, pieces, threads, args)
