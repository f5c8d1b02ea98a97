"""Loops over channels_last maps whose channels are scaled by what sums over their pixels say.

Maps are flat, (B, pixels, C). A thread takes a strip of the pixels of an image.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .numba_maps import COMPILE
from .simd import add, fma, lanes, load, splat, store
from .threads import share

STRIP = 512  # pixels; short, as sums over them in float32 are inexact


@njit(**COMPILE)
def strips_of(pixels):
    """How many strips a map is cut into."""
    return -(-pixels // STRIP)


@njit(**COMPILE)
def sums_piece(piece, a, b, sums, pixels, channels):
    """Σ a·b and Σ a over a strip of pixels, to zeros (pieces, 2, C)."""
    n, strip = divmod(np.int64(piece), strips_of(pixels))
    first, last = strip * STRIP, min((strip + 1) * STRIP, pixels)
    start, end = (n * pixels + first) * channels, (n * pixels + last) * channels
    products, plain_sums = sums[piece, 0], sums[piece, 1]
    step, zero = lanes(a), splat(a.dtype.type(0))
    whole = channels // step * step
    for c in range(0, whole, step):
        product, plain_sum = zero, zero
        for at in range(start + c, end, channels):
            here = load(a, at)
            product, plain_sum = fma(here, load(b, at), product), add(plain_sum, here)
        store(products, c, product)
        store(plain_sums, c, plain_sum)
    for at in range(start, end, channels):
        for c in range(whole, channels):
            products[c] += a[at + c] * b[at + c]
            plain_sums[c] += a[at + c]


@njit(**COMPILE)
def sums(threads, a, b, batch, pixels, channels):
    """Σ a·b and Σ a over the pixels of maps, (B, 2, C) in float64."""
    strips = strips_of(pixels)
    of_strips = np.zeros((batch * strips, 2, channels), a.dtype)
    share(sums_piece, batch * strips, threads, (a, b, of_strips, pixels, channels))
    totals = np.zeros((batch, 2, channels))
    for n in range(batch):
        for strip in range(strips):
            totals[n] += of_strips[n * strips + strip]
    return totals


@njit(**COMPILE)
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


@njit(**COMPILE)
def grn(threads, x, gamma, beta, eps, out, norm, pixels):
    """Global response normalisation to `out`, which may be x, and the norms (B, C) in float64."""
    batch, channels = norm.shape
    norm[:] = np.sqrt(sums(threads, x, x, batch, pixels, channels)[:, 0])
    factors = np.empty((batch, channels), x.dtype)
    for n in range(batch):
        factors[n] = gamma * (norm[n] / (norm[n].mean() + eps)) + 1
    share(
        scale_piece,
        batch * strips_of(pixels),
        threads,
        (x, factors, beta, out, pixels, channels),
    )


@njit(**COMPILE)
def squeeze_excite(threads, x, reduce, reduce_bias, expand, expand_bias, batch, pixels):
    """x · sigmoid(expand · gelu(reduce · mean of x)), which takes the place of x."""
    hidden, channels = reduce.shape
    means = sums(threads, x, x, batch, pixels, channels)[:, 1] / pixels
    gates = np.empty((batch, channels), x.dtype)
    squeezed = np.empty(hidden)
    for n in range(batch):
        for h in range(hidden):
            total = np.float64(reduce_bias[h])
            for c in range(channels):
                total += reduce[h, c] * means[n, c]
            squeezed[h] = total * (1 + math.erf(total / math.sqrt(2.0))) / 2
        for c in range(channels):
            total = np.float64(expand_bias[c])
            for h in range(hidden):
                total += expand[c, h] * squeezed[h]
            gates[n, c] = 1 / (1 + math.exp(-total))
    share(
        scale_piece,
        batch * strips_of(pixels),
        threads,
        (x, gates, np.zeros(channels, x.dtype), x, pixels, channels),
    )
