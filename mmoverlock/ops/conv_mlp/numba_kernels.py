"""Loops of GELU, residual depthwise convolution and GRN, one behind the other.

The convolution's result y is kept for the backward pass, (B, vectors of channels, H, tiled(W),
lanes); the GELU is made again.

A thread takes one vector of channels of some rows of an image. Taps are (vectors of channels, K·K,
lanes), and numbers of channels likewise, with all images' vectors where every image has its own, or
with all pieces where they are sums over a piece. `shift` is added to the input. `sizes` is B, C, H,
W, K and into how many strips of rows a map is cut.
"""

import math

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.gelu import gelu, gelu_and_slope
from mmoverlock.ops._numba.layout import (
    add_up,
    aligned,
    load_pixel,
    part,
    pixel_view,
    scratch,
    sum_strips,
    tiled,
    to_vectors,
    unpack,
)
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import add, fma, lanes, load, mul, splat, store
from mmoverlock.ops.depthwise.numba_kernels import (
    add_identity,
    add_taps,
    convolve,
    correlate,
    piece_bounds,
    taps_in_vectors,
)

TINY = np.finfo(np.float64).tiny


@jit
def clear(rows, first, last):
    """Zeros from `first` to `last`, whole vectors."""
    for at in range(first, last, lanes(rows)):
        store(rows, at, splat(rows.dtype.type(0)))


@jit
def activate(x, offset, count, first, last, activated, slopes, sizes):
    """GELU(x + offset) of rows first to last and those around them, with zeros on either side.

    Derivatives of the GELU go to `slopes`, rows of whole tiles, unless it is empty; both have rows
    of padding above.
    """
    _, _, height, width, size, _ = sizes
    step, halo = lanes(activated), size // 2
    flat_line = tiled(width) * step
    line = flat_line + 2 * halo * step
    top, bottom = max(first - halo, 0), min(last + halo, height)
    source, here, row, column = pixel_view(x, count, top, bottom, width)
    for i in range(top, bottom):
        edge, slope_at = (i - first + halo) * line, (i - first + halo) * flat_line
        to, at = edge + halo * step, here + (i - top) * row
        clear(activated, edge, to)
        clear(activated, to + width * step, edge + line)
        if len(slopes):
            for j in range(width):
                value, slope = gelu_and_slope(
                    add(load_pixel(source, at + j * column, column), offset)
                )
                store(activated, to + j * step, value)
                store(slopes, slope_at + j * step, slope)
        else:
            for j in range(width):
                value = gelu(add(load_pixel(source, at + j * column, column), offset))
                store(activated, to + j * step, value)


@jit
def convolve_piece(item, x, shift, taps, bias, y, squares, sizes):
    """y, and Σ y²."""
    _, channels, height, width, size, strips = sizes
    step, halo, zero = lanes(y), size // 2, splat(y.dtype.type(0))
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    span, rows, flat_line = (first, last, height), last - first, tiled(width) * step
    line = flat_line + 2 * halo * step
    activated = aligned((rows + 2 * halo) * line, y)
    activate(part(x, b, c), load(shift, c), count, first, last, activated, y[:0], sizes)
    kernel, out = taps[c * size * size :], y[(n * height + first) * flat_line :]
    convolve(activated, line, kernel, bias[c:], size, 1, span, width, out)
    total = zero
    for i in range(rows):
        along = zero
        for j in range(width):
            here = load(out, i * flat_line + j * step)
            along = fma(here, here, along)
        total = add(total, along)
    store(squares, item * step, total)


@jit
def scale_piece(item, y, factors, out, sizes):
    """out = factors[0] · y + factors[1]; every image has its own factors."""
    _, channels, height, width, _, strips = sizes
    step = lanes(y)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    line, factor = tiled(width) * step, load(factors, 2 * n * step)
    offset, mixed = load(factors, 2 * n * step + step), aligned(line, y)
    result = part(out, b, c)
    for i in range(first, last):
        for j in range(0, width * step, step):
            store(mixed, j, fma(load(y, (n * height + i) * line + j), factor, offset))
        unpack(mixed, result, count, i, i + 1, width, line)


@jit
def sums_piece(item, grad_out, y, sums, sizes):
    """Σ grad_out and Σ grad_out · y."""
    _, channels, height, width, _, strips = sizes
    step, zero = lanes(y), splat(y.dtype.type(0))
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    grads, here, row, column = pixel_view(part(grad_out, b, c), count, first, last, width)
    total, weighted = zero, zero
    for i in range(first, last):
        along, weighted_along = zero, zero
        at, from_ = (n * height + i) * tiled(width) * step, here + (i - first) * row
        for j in range(width):
            grad = load(grads, from_ + j * column)
            along = add(along, grad)
            weighted_along = fma(grad, load(y, at + j * step), weighted_along)
        total, weighted = add(total, along), add(weighted, weighted_along)
    store(sums, 2 * item * step, total)
    store(sums, 2 * item * step + step, weighted)


@jit
def backward_piece(
    item, grad_out, x, shift, flipped, y, mix, grad_x, grad_taps, grad_offsets, sizes
):
    """The gradient of x; those of the taps, added to zeros, and of the offsets.

    The gradient of y is mix[0] · grad_out + mix[1] · y; every image has its own `mix`. `flipped`
    are the taps, the last first.
    """
    _, channels, height, width, size, strips = sizes
    step, halo, zero = lanes(y), size // 2, splat(y.dtype.type(0))
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    span, rows, flat_line = (first, last, height), last - first, tiled(width) * step
    top, bottom = max(first - halo, 0), min(last + halo, height)
    line = flat_line + 2 * halo * step
    activated, grads = aligned((rows + 2 * halo) * line, y), scratch((rows + 2 * halo) * line, y)
    slopes, mixed = aligned((rows + 2 * halo) * flat_line, y), aligned(rows * flat_line, y)
    activate(part(x, b, c), load(shift, c), count, first, last, activated, slopes, sizes)
    source, here, row, column = pixel_view(part(grad_out, b, c), count, top, bottom, width)
    direct, pull = load(mix, 2 * n * step), load(mix, 2 * n * step + step)
    grad_bias = zero
    for i in range(top, bottom):
        at, to = here + (i - top) * row, (i - first + halo) * line + halo * step
        along = zero
        for j in range(width):
            grad = mul(load(y, (n * height + i) * flat_line + j * step), pull)
            grad = fma(load_pixel(source, at + j * column, column), direct, grad)
            store(grads, to + j * step, grad)
            along = add(along, grad)
        if first <= i < last:
            grad_bias = add(grad_bias, along)
    grad_kernel, middle = grad_taps[item * size * size * step :], halo * (line + step)
    correlate(activated, line, grads, middle, size, 1, span, width, grad_kernel)
    kernel, zeros = flipped[c * size * size :], scratch(step, y)
    convolve(grads, line, kernel, zeros, size, 1, span, width, mixed)
    grad_shift = zero
    for i in range(rows):
        along = zero
        for j in range(width):
            at = i * flat_line + j * step
            grad = mul(load(mixed, at), load(slopes, at + halo * flat_line))
            store(mixed, at, grad)
            along = add(along, grad)
        grad_shift = add(grad_shift, along)
    store(grad_offsets, 2 * item * step, grad_shift)
    store(grad_offsets, 2 * item * step + step, grad_bias)
    unpack(mixed, part(grad_x, b, c), count, first, last, width, flat_line)


@jit
def mean_norm(norm, b, eps):
    """The mean norm of an image's channels, and eps."""
    total = 0.0
    for c in range(norm.shape[1]):
        total += norm[b, c]
    return total / norm.shape[1] + eps


@jit
def forward(pieces, threads, x, shift, weight, bias, gamma, beta, eps, out, norm, y, sizes):
    """y, its GRN, to `out`, and the norms of y's channels, to norm (B, C), in float64.

    Weight is (C, K·K), shift and bias (C, 1), gamma and beta (C).
    """
    batch, channels, _, _, size, strips = sizes
    given = (taps_in_vectors(shift, y), taps_in_vectors(weight, y), taps_in_vectors(bias, y))
    add_identity(given[1], size)
    squares, lines = aligned(pieces * lanes(y), y), np.empty((batch, 2, channels))
    parallel_for(convolve_piece, pieces, threads, (x, *given, y, squares, sizes))
    totals = sum_strips(squares, batch, strips, 1, channels)
    for b in range(batch):
        for c in range(channels):
            norm[b, c] = math.sqrt(totals[b, 0, c])
        mean = mean_norm(norm, b, eps)
        for c in range(channels):
            lines[b, 0, c], lines[b, 1, c] = gamma[c] * norm[b, c] / mean + 1, beta[c]
    parallel_for(scale_piece, pieces, threads, (y, to_vectors(lines, y), out, sizes))


@jit
def backward(pieces, threads, grad_out, x, shift, weight, gamma, norm, y, eps, grads, sizes):
    """Gradients of x, shift, weight, bias, gamma and beta."""
    grad_x, grad_shift, grad_weight, grad_bias, grad_gamma, grad_beta = grads
    batch, channels, _, _, size, strips = sizes
    sums, mixes = aligned(2 * pieces * lanes(y), y), np.empty((batch, 2, channels))
    parallel_for(sums_piece, pieces, threads, (grad_out, y, sums, sizes))
    totals, grads_gamma = sum_strips(sums, batch, strips, 2, channels), np.empty((batch, channels))
    for b in range(batch):
        mean, through_mean = mean_norm(norm, b, eps), 0.0
        for c in range(channels):
            response = norm[b, c] / mean
            grads_gamma[b, c] = totals[b, 1, c] * response
            mixes[b, 0, c] = gamma[c] * response + 1
            through_mean += grads_gamma[b, c] * gamma[c] / channels
        # Every norm also enters the mean of its image.
        for c in range(channels):
            grad_response = totals[b, 1, c] * gamma[c] - through_mean
            mixes[b, 1, c] = grad_response / mean / max(norm[b, c], TINY)
    add_up(grads_gamma, grad_gamma)
    add_up(totals[:, 0], grad_beta)

    offset, flipped = taps_in_vectors(shift, y), taps_in_vectors(weight[:, ::-1], y)
    add_identity(flipped, size)
    mix, grad_offsets = to_vectors(mixes, y), sums
    grad_taps = scratch(pieces * weight.shape[1] * lanes(y), y)
    args = (grad_out, x, offset, flipped, y, mix, grad_x, grad_taps, grad_offsets, sizes)
    parallel_for(backward_piece, pieces, threads, args)
    add_taps(threads, grad_taps, batch, strips, grad_weight)
    totals = sum_strips(grad_offsets, batch, strips, 2, channels)
    add_up(totals[:, 0], grad_shift)
    add_up(totals[:, 1], grad_bias)
