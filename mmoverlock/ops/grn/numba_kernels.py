"""Loops of GRN over channels_last maps.

Maps are flat, (B, pixels, C). A thread takes a strip of the pixels of an image.
"""

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import fma, lanes, load, splat, store

STRIP = 512  # pixels; short, as sums over them in float32 are inexact


@jit
def strips_of(pixels):
    """How many strips a map is cut into."""
    return -(-pixels // STRIP)


@jit
def squares_piece(piece, x, sums, pixels, channels):
    """Σ x² over a strip of pixels, to zeros (pieces, C)."""
    n, strip = divmod(np.int64(piece), strips_of(pixels))
    first, last = strip * STRIP, min((strip + 1) * STRIP, pixels)
    start, end = (n * pixels + first) * channels, (n * pixels + last) * channels
    squares, step = sums[piece], lanes(x)
    whole = channels // step * step
    for c in range(0, whole, step):
        total = splat(x.dtype.type(0))
        for at in range(start + c, end, channels):
            here = load(x, at)
            total = fma(here, here, total)
        store(squares, c, total)
    for at in range(start, end, channels):
        for c in range(whole, channels):
            squares[c] += x[at + c] ** 2


@jit
def scale_piece(piece, x, factors, offset, out, pixels, channels):
    """out = factors · x + offset, on a strip of pixels; every image has its own factors."""
    n, strip = divmod(np.int64(piece), strips_of(pixels))
    factor, step = factors[n], lanes(x)
    whole = channels // step * step
    for pixel in range(strip * STRIP, min((strip + 1) * STRIP, pixels)):
        at = (n * pixels + pixel) * channels
        for c in range(0, whole, step):
            store(out, at + c, fma(load(x, at + c), load(factor, c), load(offset, c)))
        for c in range(whole, channels):
            out[at + c] = x[at + c] * factor[c] + offset[c]


@jit
def grn(threads, x, gamma, beta, eps, out, batch, pixels):
    """Global response normalisation to `out`, which may be x."""
    channels, strips = len(gamma), strips_of(pixels)
    squares = np.zeros((batch * strips, channels), x.dtype)
    parallel_for(squares_piece, batch * strips, threads, (x, squares, pixels, channels))
    factors = np.empty((batch, channels), x.dtype)
    for n in range(batch):
        total = np.zeros(channels)
        for strip in range(strips):
            total += squares[n * strips + strip]
        norm = np.sqrt(total)
        factors[n] = gamma * (norm / (norm.mean() + eps)) + 1
    parallel_for(scale_piece, batch * strips, threads, (x, factors, beta, out, pixels, channels))
