"""Loops of dynamic convolution on the CPU.

Kernels are contiguous, maps (B, G, C, H, W) of any strides. `sizes` is G, H, W, C, K.
"""

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import TILE, pack, padded, part, scratch, unpack
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
def forward_piece(n, kernels, value, out, sizes):
    """Map n of `out`."""
    groups, height, width, channels, size = sizes
    taps, step = size * size, padded(channels, kernels)
    rows = scratch(height * width * step, kernels)
    mixed = scratch(width * step, kernels)
    b, g = n // groups, n % groups
    pack(part(value, b, g), channels, 0, height, width, rows, 0, width * step)
    for i in range(height):
        row = window_start(i, height, size)
        kernels_i = kernels[(n * height + i) * width * taps :]
        gather(kernels_i, taps, rows, row, width, size, step, mixed)
        unpack(mixed, part(out, b, g), channels, i, i + 1, width, 0)


@jit
def forward(pieces, threads, *args):
    """:func:`forward_piece` for every piece."""
    parallel_for(forward_piece, pieces, threads, args)


@jit
def backward_piece(n, grad_out, kernels, value, grad_kernels, grad_value, sizes):
    """Gradients of both for map n."""
    groups, height, width, channels, size = sizes
    taps, step = size * size, padded(channels, kernels)
    plane = padded(height * width, kernels) + lanes(kernels)
    planes = scratch(channels * plane + TILE * width, kernels)
    grad_rows = scratch(height * width * step, kernels)
    grads = scratch(width * step, kernels)
    line = row_pitch(size, kernels)
    projected = scratch(width * line, kernels)
    b, g = n // groups, n % groups
    pack_planes(part(value, b, g), channels, height, width, plane, planes)
    for i in range(height):
        row = window_start(i, height, size)
        pack(part(grad_out, b, g), channels, i, i + 1, width, grads, 0, 0)
        project(grads, step, channels, planes, plane, row, width, size, projected)
        at = (n * height + i) * width * taps
        for j in range(width):
            for t in range(taps):
                grad_kernels[at + j * taps + t] = projected[j * line + t]
        scatter(kernels[at:], taps, grads, width, size, step, grad_rows, row)
    unpack(grad_rows, part(grad_value, b, g), channels, 0, height, width, width * step)


@jit
def backward(pieces, threads, *args):
    """:func:`backward_piece` for every piece."""
    parallel_for(backward_piece, pieces, threads, args)
