"""Loops of a depthwise convolution whose result takes the place of its input."""

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import aligned, pack, scratch, tiled, unpack
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import lanes
from mmoverlock.ops.depthwise.numba_kernels import convolve, piece_bounds, taps_in_vectors


@jit
def overwrite_piece(item, x, strides, taps, bias, sizes):
    """As forward, the result taking the place of x; a map goes through scratch strip by strip.

    The rows around a strip's lower edge are read before the strip is written and kept for the next.
    """
    batch, channels, height, width, size, rows = sizes
    step, halo = lanes(x), size // 2
    _, b, c, count, _, _ = piece_bounds(item, channels, height, 1, x)
    line = (tiled(width) + 2 * halo) * step
    kept = 2 * halo * line
    padded = scratch(kept + rows * line, x)
    mixed = aligned(rows * tiled(width) * step, x)
    kernel, offset = taps[c * size * size :], bias[c:]
    start = b * strides[0] + c * strides[1]
    inset = halo * step
    at = halo * line + inset
    pack(x, start, strides, count, 0, min(halo, height), width, padded, at, line)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        top, bottom = min(first + halo, height), min(last + halo, height)
        pack(x, start, strides, count, top, bottom, width, padded, kept + inset, line)
        span = first, last, height
        convolve(padded, line, kernel, offset, size, 1, span, width, mixed, False)
        to, flat_line = start + first * strides[2], tiled(width) * step
        unpack(mixed, x, to, strides, count, 0, last - first, width, flat_line, False)
        for k in range(kept):
            padded[k] = padded[rows * line + k]


@jit
def overwrite(pieces, threads, x, strides, weight, bias, sizes):
    """:func:`overwrite_piece` for every piece, with weight (C, K·K) and bias (C, 1)."""
    taps, offset = taps_in_vectors(weight, x), taps_in_vectors(bias, x)
    parallel_for(overwrite_piece, pieces, threads, (x, strides, taps, offset, sizes))
