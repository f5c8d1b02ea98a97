"""Loops of GELU, depthwise convolution and GRN, one behind the other, in training.

What lies between input and output is not stored: every loop reads the input, and makes GELU and
convolution of its rows again.

A thread takes one vector of channels of some rows of an image. Taps are (vectors of channels, K·K,
lanes), and numbers of channels likewise, with all images' vectors where every image has its own, or
with all pieces where they are sums over a piece. `offsets` are what is added to the input, and the
bias of the convolution. `sizes` is B, C, H, W, K and into how many strips of rows a map is cut.
Arrays of one dimension are contiguous, but for those with strides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mmoverlock.ops.numba_gelu import gelu, gelu_and_slope
from mmoverlock.ops.numba_maps import (
    COMPILE,
    add_strips,
    aligned,
    in_vectors,
    pixels,
    scratch,
    tiled,
    unpack,
)
from mmoverlock.ops.simd import add, fma, lanes, load, mul, splat, store
from mmoverlock.ops.threads import share

from .numba_kernels import add_taps, convolve, correlate, place, taps_in_vectors

TINY = np.finfo(np.float64).tiny


@njit(**COMPILE)
def clear(rows, first, last):
    """Zeros from `first` to `last`, whole vectors."""
    for at in range(first, last, lanes(rows)):
        store(rows, at, splat(rows.dtype.type(0)))


@njit(**COMPILE)
def convolve_activated(
    x, start, strides, taps, offsets, c, count, first, last, sizes, activated, slopes, out
):
    """Rows first to last of the convolution of GELU(x + offset), to `out`, rows of whole tiles.

    `activated` is the activated map, with the zero padding that the convolution wants. Derivatives
    of the GELU go to `slopes`, unless it is empty.
    """
    _, _, height, width, size, _ = sizes
    step, halo = lanes(x), size // 2
    line = (tiled(width) + 2 * halo) * step
    top, bottom = max(first - halo, 0), min(last + halo, height)
    source, here, row, column = pixels(x, start, strides, count, top, bottom, width)
    offset = load(offsets, 2 * c)
    clear(activated, 0, (top - first + halo) * line)
    clear(activated, (bottom - first + halo) * line, (last - first + 2 * halo) * line)
    for i in range(bottom - top):
        edge = (top - first + halo + i) * line
        to, at = edge + halo * step, here + i * row
        clear(activated, edge, to)
        clear(activated, to + width * step, edge + line)
        if len(slopes):
            for j in range(width):
                value, slope = gelu_and_slope(add(load(source, at + j * column), offset))
                store(activated, to + j * step, value)
                store(slopes, (i * tiled(width) + j) * step, slope)
        else:
            for j in range(width):
                value = gelu(add(load(source, at + j * column), offset))
                store(activated, to + j * step, value)
    kernel, bias = taps[c * size * size :], offsets[2 * c + step :]
    convolve(activated, line, kernel, bias, size, 1, last - first, width, out, False)


@njit(**COMPILE)
def buffers(rows, sizes, x):
    """Memory for `rows` rows with the padding around them, and for them alone."""
    _, _, _, width, size, _ = sizes
    step, halo = lanes(x), size // 2
    with_padding = (rows + 2 * halo) * (tiled(width) + 2 * halo) * step
    return aligned(with_padding, x), aligned(rows * tiled(width) * step, x)


@njit(**COMPILE)
def convolved(item, x, strides, taps, offsets, sizes):
    """What the piece has of the convolution's result y, rows of whole tiles."""
    _, channels, height, _, _, strips = sizes
    _, b, c, count, first, last = place(item, channels, height, strips, x)
    activated, y = buffers(last - first, sizes, x)
    start = b * strides[0] + c * strides[1]
    convolve_activated(
        x, start, strides, taps, offsets, c, count, first, last, sizes, activated, y[:0], y
    )
    return y


@njit(**COMPILE)
def squares_piece(item, x, strides, taps, offsets, squares, sizes):
    """Σ y²."""
    width, step, zero = sizes[3], lanes(x), splat(x.dtype.type(0))
    y = convolved(item, x, strides, taps, offsets, sizes)
    total = zero
    for row in range(0, len(y), tiled(width) * step):
        along = zero
        for j in range(width):
            here = load(y, row + j * step)
            along = fma(here, here, along)
        total = add(total, along)
    store(squares, item * step, total)


@njit(**COMPILE)
def scale_piece(item, x, strides, taps, offsets, line, out, sizes):
    """out = line[0] · y + line[1], with the strides of x; every image has its own `line`."""
    _, channels, height, width, _, strips = sizes
    step = lanes(x)
    n, b, c, count, first, last = place(item, channels, height, strips, x)
    y = convolved(item, x, strides, taps, offsets, sizes)
    factor, offset = load(line, 2 * n * step), load(line, 2 * n * step + step)
    for at in range(0, len(y), step):
        store(y, at, fma(load(y, at), factor, offset))
    start = b * strides[0] + c * strides[1] + first * strides[2]
    unpack(y, out, start, strides, count, 0, last - first, width, tiled(width) * step, False)


@njit(**COMPILE)
def sums_piece(item, grad_out, grad_strides, x, strides, taps, offsets, sums, sizes):
    """Σ grad_out and Σ grad_out · y."""
    _, channels, height, width, _, strips = sizes
    step, zero = lanes(x), splat(x.dtype.type(0))
    _, b, c, count, first, last = place(item, channels, height, strips, x)
    y = convolved(item, x, strides, taps, offsets, sizes)
    start = b * grad_strides[0] + c * grad_strides[1]
    grads, here, row, column = pixels(grad_out, start, grad_strides, count, first, last, width)
    total, weighted = zero, zero
    for i in range(last - first):
        along, weighted_along = zero, zero
        for j in range(width):
            grad = load(grads, here + i * row + j * column)
            along = add(along, grad)
            weighted_along = fma(grad, load(y, (i * tiled(width) + j) * step), weighted_along)
        total, weighted = add(total, along), add(weighted, weighted_along)
    store(sums, 2 * item * step, total)
    store(sums, 2 * item * step + step, weighted)


@njit(**COMPILE)
def backward_piece(
    item,
    grad_out,
    grad_strides,
    x,
    strides,
    taps,
    offsets,
    flipped,
    mix,
    grad_x,
    grad_taps,
    grad_offsets,
    sizes,
):
    """Gradients of x, with its strides, of the taps, zeros before, and of the offsets.

    The gradient of y is mix[0] · grad_out + mix[1] · y; every image has its own `mix`. `flipped`
    are the taps, the last first.
    """
    _, channels, height, width, size, strips = sizes
    step, halo, zero = lanes(x), size // 2, splat(x.dtype.type(0))
    n, b, c, count, first, last = place(item, channels, height, strips, x)
    top, bottom = max(first - halo, 0), min(last + halo, height)
    above, rows = max(top - halo, 0), last - first
    flat_line = tiled(width) * step
    line = flat_line + 2 * halo * step
    activated, y = buffers(bottom - top, sizes, x)
    grads, slopes = scratch((rows + 2 * halo) * line, x), aligned((rows + 4 * halo) * flat_line, x)
    start = b * strides[0] + c * strides[1]
    grad_start = b * grad_strides[0] + c * grad_strides[1]
    convolve_activated(
        x, start, strides, taps, offsets, c, count, top, bottom, sizes, activated, slopes, y
    )
    source, here, row, column = pixels(
        grad_out, grad_start, grad_strides, count, top, bottom, width
    )
    direct, pull = load(mix, 2 * n * step), load(mix, 2 * n * step + step)
    grad_bias = zero
    for i in range(bottom - top):
        at, to = here + i * row, (top - first + halo + i) * line + halo * step
        along = zero
        for j in range(width):
            grad = mul(load(y, i * flat_line + j * step), pull)
            grad = fma(load(source, at + j * column), direct, grad)
            store(grads, to + j * step, grad)
            along = add(along, grad)
        if first <= top + i < last:
            grad_bias = add(grad_bias, along)
    inner, middle = activated[(first - top) * line :], halo * (line + step)
    grad_kernel = grad_taps[item * size * size * step :]
    correlate(inner, line, grads, middle, size, 1, rows, width, grad_kernel)
    kernel = flipped[c * size * size :]
    convolve(grads, line, kernel, scratch(step, x), size, 1, rows, width, y, False)
    grad_shift, slope = zero, slopes[(first - above) * flat_line :]
    for i in range(rows):
        along = zero
        for j in range(width):
            at = i * flat_line + j * step
            grad = mul(load(y, at), load(slope, at))
            store(y, at, grad)
            along = add(along, grad)
        grad_shift = add(grad_shift, along)
    store(grad_offsets, 2 * item * step, grad_shift)
    store(grad_offsets, 2 * item * step + step, grad_bias)
    start += first * strides[2]
    unpack(y, grad_x, start, strides, count, 0, rows, width, flat_line, False)


@njit(**COMPILE)
def constants(shift, bias, weight, x):
    """Offsets, and taps of weight (C, K·K), in vectors."""
    offsets = np.empty((1, 2, len(bias)), x.dtype)
    offsets[0, 0], offsets[0, 1] = shift, bias
    return in_vectors(offsets, x), taps_in_vectors(weight, x)


@njit(**COMPILE)
def forward(pieces, threads, x, strides, shift, weight, bias, gamma, beta, eps, out, norm, sizes):
    """GRN of y, to `out`, and the norms of y's channels, to norm (B, C), in float64."""
    batch, channels, _, _, _, strips = sizes
    offsets, taps = constants(shift, bias, weight, x)
    squares, lines = aligned(pieces * lanes(x), x), np.empty((batch, 2, channels))
    share(squares_piece, pieces, threads, (x, strides, taps, offsets, squares, sizes))
    norm[:] = np.sqrt(add_strips(squares, batch, strips, 1, channels)[:, 0])
    for b in range(batch):
        lines[b, 0] = gamma * (norm[b] / (norm[b].mean() + eps)) + 1
        lines[b, 1] = beta
    line = in_vectors(lines, x)
    share(scale_piece, pieces, threads, (x, strides, taps, offsets, line, out, sizes))


@njit(**COMPILE)
def backward(
    pieces,
    threads,
    grad_out,
    grad_strides,
    x,
    strides,
    shift,
    weight,
    bias,
    gamma,
    norm,
    eps,
    grad_x,
    grad_shift,
    grad_weight,
    grad_bias,
    grad_gamma,
    grad_beta,
    sizes,
):
    """Gradients of everything that :func:`forward` takes."""
    batch, channels, _, _, _, strips = sizes
    offsets, taps = constants(shift, bias, weight, x)
    sums, mixes = aligned(2 * pieces * lanes(x), x), np.empty((batch, 2, channels))
    args = (grad_out, grad_strides, x, strides, taps, offsets, sums, sizes)
    share(sums_piece, pieces, threads, args)
    totals, gradient = add_strips(sums, batch, strips, 2, channels), np.zeros(channels)
    for b in range(batch):
        mean = norm[b].mean() + eps
        response, grad_response = norm[b] / mean, totals[b, 1] * gamma
        gradient += totals[b, 1] * response
        # Every norm also enters the mean of its image.
        through_mean = (grad_response * response).mean()
        mixes[b, 0] = gamma * response + 1
        mixes[b, 1] = (grad_response - through_mean) / mean / np.maximum(norm[b], TINY)
    grad_gamma[:], grad_beta[:] = gradient, totals[:, 0].sum(0)

    flipped, number = taps_in_vectors(weight[:, ::-1], x), weight.shape[1]
    mix, grad_offsets = in_vectors(mixes, x), sums
    grad_taps = scratch(pieces * number * lanes(x), x)
    given = (grad_out, grad_strides, x, strides, taps, offsets, flipped, mix)
    share(backward_piece, pieces, threads, given + (grad_x, grad_taps, grad_offsets, sizes))
    add_taps(threads, grad_taps, batch, strips, grad_weight)
    totals = add_strips(grad_offsets, batch, strips, 2, channels)
    grad_shift[:], grad_bias[:] = totals[:, 0].sum(0), totals[:, 1].sum(0)
