"""Loops of a residual depthwise convolution whose result takes the place of its input."""

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import aligned, pack, part, scratch, tiled, unpack
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import lanes
from mmoverlock.ops.depthwise.numba_kernels import (
    add_identity,
    convolve,
    piece_bounds,
    taps_in_vectors,
)


@jit
def overwrite_piece(item, x, taps, bias, sizes):
    """The convolution takes the place of x; a map goes through scratch strip by strip.

    The rows around a strip's lower edge are read before the strip is written and kept for the next.
    """
    _, channels, height, width, size, rows = sizes
    step, halo = lanes(taps), size // 2
    _, b, c, count, _, _ = piece_bounds(item, channels, height, 1, taps)
    flat_line, inset = tiled(width) * step, halo * step
    line = flat_line + 2 * inset
    kept = 2 * halo * line
    padded, mixed = scratch(kept + rows * line, taps), aligned(rows * flat_line, taps)
    here, kernel = part(x, b, c), taps[c * size * size :]
    pack(here, count, 0, min(halo, height), width, padded, halo * line + inset, line)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        top, bottom = min(first + halo, height), min(last + halo, height)
        pack(here, count, top, bottom, width, padded, kept + inset, line)
        span = first, last, height
        convolve(padded, line, kernel, bias[c:], size, 1, span, width, mixed)
        unpack(mixed, here, count, first, last, width, flat_line)
        for k in range(kept):
            padded[k] = padded[rows * line + k]


@jit
def overwrite(pieces, threads, x, weight, bias, sizes):
    """x += convolution of x, with weight (C, K·K) and bias (C, 1)."""
    taps, offset = taps_in_vectors(weight, x[0]), taps_in_vectors(bias, x[0])
    add_identity(taps, sizes[4])
    parallel_for(overwrite_piece, pieces, threads, (x, taps, offset, sizes))
