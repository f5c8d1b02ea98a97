"""Loops of squeeze-and-excitation over channels_last maps, flat, (B, pixels, C)."""

import math

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import add, lanes, load, splat, store
from mmoverlock.ops.grn.numba_kernels import STRIP, scale_piece, strips_of


@jit
def sums_piece(piece, x, sums, pixels, channels):
    """Σ x over a strip of pixels, to zeros (pieces, C)."""
    n, strip = divmod(np.int64(piece), strips_of(pixels))
    first, last = strip * STRIP, min((strip + 1) * STRIP, pixels)
    start, end = (n * pixels + first) * channels, (n * pixels + last) * channels
    out, step = sums[piece], lanes(x)
    whole = channels // step * step
    for c in range(0, whole, step):
        total = splat(x.dtype.type(0))
        for at in range(start + c, end, channels):
            total = add(total, load(x, at))
        store(out, c, total)
    for at in range(start, end, channels):
        for c in range(whole, channels):
            out[c] += x[at + c]


@jit
def squeeze_excite(threads, x, reduce, reduce_bias, expand, expand_bias, batch, pixels):
    """x · sigmoid(expand · gelu(reduce · mean of x)), which takes the place of x."""
    hidden, channels = reduce.shape
    strips = strips_of(pixels)
    sums = np.zeros((batch * strips, channels), x.dtype)
    parallel_for(sums_piece, batch * strips, threads, (x, sums, pixels, channels))
    gates = np.empty((batch, channels), x.dtype)
    squeezed = np.empty(hidden)
    for n in range(batch):
        means = np.zeros(channels)
        for strip in range(strips):
            means += sums[n * strips + strip]
        means /= pixels
        for h in range(hidden):
            total = np.float64(reduce_bias[h])
            for c in range(channels):
                total += reduce[h, c] * means[c]
            squeezed[h] = total * (1 + math.erf(total / math.sqrt(2.0))) / 2
        for c in range(channels):
            total = np.float64(expand_bias[c])
            for h in range(hidden):
                total += expand[c, h] * squeezed[h]
            gates[n, c] = 1 / (1 + math.exp(-total))
    zeros = np.zeros(channels, x.dtype)
    parallel_for(scale_piece, batch * strips, threads, (x, gates, zeros, x, pixels, channels))
