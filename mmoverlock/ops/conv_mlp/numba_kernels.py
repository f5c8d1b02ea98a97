"""Loops of GELU, depthwise convolution and GRN, one behind the other.

The convolution's result y is kept for the backward pass, (B, vectors of channels, H, tiled(W),
lanes); the GELU is made again.

A thread takes one vector of channels of some rows of an image. Taps are (vectors of channels, K·K,
lanes), and numbers of channels likewise, with all images' vectors where every image has its own, or
with all pieces where they are sums over a piece. `shift` is added to the input. `sizes` is B, C, H,
W, K and into how many strips of rows a map is cut. Arrays of one dimension are contiguous, but for
those with strides.
"""

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.gelu import gelu, gelu_and_slope
from mmoverlock.ops._numba.layout import (
    aligned,
    load_pixel,
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
def activate(x, start, strides, offset, count, first, last, activated, slopes, sizes):
    """GELU(x + offset) of rows first to last and those around them, with zeros on either side.

    Derivatives of the GELU go to `slopes`, rows of whole tiles, unless it is empty; both have rows
    of padding above.
    """
    _, _, height, width, size, _ = sizes
    step, halo = lanes(x), size // 2
    flat_line = tiled(width) * step
    line = flat_line + 2 * halo * step
    top, bottom = max(first - halo, 0), min(last + halo, height)
    source, here, row, column = pixel_view(x, start, strides, count, top, bottom, width)
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
def convolve_piece(item, x, strides, shift, taps, bias, y, squares, sizes):
    """y, and Σ y²."""
    _, channels, height, width, size, strips = sizes
    step, halo, zero = lanes(x), size // 2, splat(x.dtype.type(0))
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, x)
    span = first, last, height
    rows, flat_line = last - first, tiled(width) * step
    line = flat_line + 2 * halo * step
    activated = aligned((rows + 2 * halo) * line, x)
    start, offset = b * strides[0] + c * strides[1], load(shift, c)
    activate(x, start, strides, offset, count, first, last, activated, y[:0], sizes)
    kernel, out = taps[c * size * size :], y[(n * height + first) * flat_line :]
    convolve(activated, line, kernel, bias[c:], size, 1, span, width, out, False)
    total = zero
    for i in range(rows):
        along = zero
        for j in range(width):
            here = load(out, i * flat_line + j * step)
            along = fma(here, here, along)
        total = add(total, along)
    store(squares, item * step, total)


@jit
def scale_piece(item, y, factors, out, strides, sizes):
    """out (B, C, H, W) = factors[0] · y + factors[1]; every image has its own factors."""
    _, channels, height, width, _, strips = sizes
    step = lanes(y)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    line, start = tiled(width) * step, b * strides[0] + c * strides[1]
    factor, offset = load(factors, 2 * n * step), load(factors, 2 * n * step + step)
    mixed = aligned(line, y)
    for i in range(first, last):
        for j in range(0, width * step, step):
            store(mixed, j, fma(load(y, (n * height + i) * line + j), factor, offset))
        unpack(mixed, out, start, strides, count, i, i + 1, width, line, False)


@jit
def sums_piece(item, grad_out, strides, y, sums, sizes):
    """Σ grad_out and Σ grad_out · y."""
    _, channels, height, width, _, strips = sizes
    step, zero = lanes(y), splat(y.dtype.type(0))
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, y)
    start = b * strides[0] + c * strides[1]
    grads, here, row, column = pixel_view(grad_out, start, strides, count, first, last, width)
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
    item,
    grad_out,
    grad_strides,
    x,
    strides,
    shift,
    flipped,
    y,
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
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, x)
    span = first, last, height
    top, bottom, rows = max(first - halo, 0), min(last + halo, height), last - first
    flat_line = tiled(width) * step
    line = flat_line + 2 * halo * step
    activated, grads = aligned((rows + 2 * halo) * line, x), scratch((rows + 2 * halo) * line, x)
    slopes, mixed = aligned((rows + 2 * halo) * flat_line, x), aligned(rows * flat_line, x)
    start, offset = b * strides[0] + c * strides[1], load(shift, c)
    activate(x, start, strides, offset, count, first, last, activated, slopes, sizes)
    start = b * grad_strides[0] + c * grad_strides[1]
    source, here, row, column = pixel_view(grad_out, start, grad_strides, count, top, bottom, width)
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
    kernel, zeros = flipped[c * size * size :], scratch(step, x)
    convolve(grads, line, kernel, zeros, size, 1, span, width, mixed, False)
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
    start = b * strides[0] + c * strides[1] + first * strides[2]
    unpack(mixed, grad_x, start, strides, count, 0, rows, width, flat_line, False)


@jit
def one_each(numbers, like):
    """A number for each channel, (C), as (vectors of channels, lanes), flat."""
    return taps_in_vectors(np.expand_dims(numbers, 1), like)


@jit
def forward(
    pieces, threads, x, strides, shift, weight, bias, gamma, beta, eps, out, norm, y, sizes
):
    """y, its GRN, to `out`, and the norms of y's channels, to norm (B, C), in float64."""
    batch, channels, _, _, _, strips = sizes
    given = (one_each(shift, x), taps_in_vectors(weight, x), one_each(bias, x))
    squares, lines = aligned(pieces * lanes(x), x), np.empty((batch, 2, channels))
    parallel_for(convolve_piece, pieces, threads, (x, strides, *given, y, squares, sizes))
    norm[:] = np.sqrt(sum_strips(squares, batch, strips, 1, channels)[:, 0])
    for b in range(batch):
        lines[b, 0] = gamma * (norm[b] / (norm[b].mean() + eps)) + 1
        lines[b, 1] = beta
    parallel_for(scale_piece, pieces, threads, (y, to_vectors(lines, x), out, strides, sizes))


@jit
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
    y,
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
    sums, mixes = aligned(2 * pieces * lanes(x), x), np.empty((batch, 2, channels))
    parallel_for(sums_piece, pieces, threads, (grad_out, grad_strides, y, sums, sizes))
    totals, gradient = sum_strips(sums, batch, strips, 2, channels), np.zeros(channels)
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
    mix, grad_offsets = to_vectors(mixes, x), sums
    grad_taps = scratch(pieces * number * lanes(x), x)
    given = (grad_out, grad_strides, x, strides, one_each(shift, x), flipped, y, mix)
    parallel_for(backward_piece, pieces, threads, given + (grad_x, grad_taps, grad_offsets, sizes))
    add_taps(threads, grad_taps, batch, strips, grad_weight)
    totals = sum_strips(grad_offsets, batch, strips, 2, channels)
    grad_shift[:], grad_bias[:] = totals[:, 0].sum(0), totals[:, 1].sum(0)
