"""Loops of depthwise convolutions that are normalised by their own statistics and added up.

A thread takes one vector of channels of some rows of an image through all branches: it copies its
part of the input into scratch memory once, and once back. The maps that the branches give are kept
for the backward pass as they are made, (B, vectors of channels, branches, H, tiled(W), lanes).

Numbers of channels are (vectors of channels, numbers, lanes), or (pieces, numbers, lanes) if they
are sums over a piece. `taps` are those of all branches, one after the other; `branches` (N, 3) says
of each branch K, its dilation, and which tap is its first. `sizes` is B, C, H, W, N, the reach of
the largest branch on either side, and into how many strips of rows a map is cut.
"""

import math

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import (
    add_up,
    aligned,
    pack,
    part,
    pixel_view,
    scratch,
    sum_strips,
    tiled,
    to_vectors,
    unpack,
)
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import add, fma, lanes, load, mul, splat, store, sub
from mmoverlock.ops.depthwise.numba_kernels import (
    add_taps,
    convolve,
    correlate,
    pack_padded,
    piece_bounds,
    taps_in_vectors,
)


@jit
def mean_and_deviation(rows, height, width, out):
    """Mean and sum of squared deviations from it, of every lane, to out (2, lanes).

    In two passes, and with rows added up by themselves, for the sake of accuracy.
    """
    step, zero = lanes(rows), splat(rows.dtype.type(0))
    total = zero
    for i in range(height):
        along = zero
        for j in range(width):
            along = add(along, load(rows, (i * tiled(width) + j) * step))
        total = add(total, along)
    center = mul(total, splat(rows.dtype.type(1 / (height * width))))
    total = zero
    for i in range(height):
        along = zero
        for j in range(width):
            apart = sub(load(rows, (i * tiled(width) + j) * step), center)
            along = fma(apart, apart, along)
        total = add(total, along)
    store(out, 0, center)
    store(out, step, total)


@jit
def all_taps(branches):
    """How many taps the branches have."""
    size, _, first = branches[-1]
    return first + size * size


@jit
def convolve_piece(item, x, taps, branches, maps, stats, sizes):
    """The map of every branch; of each its mean and squared deviations to stats."""
    _, channels, height, width, number, reach, strips = sizes
    step = lanes(taps)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, taps)
    span, flat_line, zeros = (first, last, height), tiled(width) * step, scratch(step, taps)
    line = flat_line + 2 * reach * step
    padded = pack_padded(part(x, b, c), count, span, width, reach, line, taps)
    for k in range(number):
        size, dilation, tap = branches[k]
        inset = (reach - dilation * (size // 2)) * (line + step)
        kernel = taps[c * all_taps(branches) + tap * step :]
        out = maps[((n * number + k) * height + first) * flat_line :]
        convolve(padded[inset:], line, kernel, zeros, size, dilation, span, width, out)
        mean_and_deviation(out, last - first, width, stats[(item * number + k) * 2 * step :])


@jit
def add_piece(item, maps, factors, out, sizes):
    """out = Σ_k factors[k] · maps[k] + factors[N]"""
    _, channels, height, width, number, _, strips = sizes
    step = lanes(maps)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, maps)
    line, factor = tiled(width) * step, factors[c * (number + 1) :]
    mixed = aligned(line, maps)
    result = part(out, b, c)
    for i in range(first, last):
        for j in range(width):
            total = load(factor, number * step)
            for k in range(number):
                at = ((n * number + k) * height + i) * line + j * step
                total = fma(load(maps, at), load(factor, k * step), total)
            store(mixed, j * step, total)
        unpack(mixed, result, count, i, i + 1, width, line)


@jit
def sums_piece(item, grad_out, maps, means, sums, sizes):
    """Σ grad_out · (maps[k] - means[k]) for every branch, and Σ grad_out, to sums, zeros before."""
    _, channels, height, width, number, _, strips = sizes
    step = lanes(maps)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, maps)
    line, zero = tiled(width) * step, splat(maps.dtype.type(0))
    totals = sums[item * (number + 1) * step :]
    grads, here, row, column = pixel_view(part(grad_out, b, c), count, first, last, width)
    for i in range(last - first):
        grad = here + i * row
        for k in range(number):
            mean, along = load(means, c * number + k * step), zero
            at = ((n * number + k) * height + first + i) * line
            for j in range(width):
                apart = sub(load(maps, at + j * step), mean)
                along = fma(load(grads, grad + j * column), apart, along)
            store(totals, k * step, add(load(totals, k * step), along))
        along = zero
        for j in range(width):
            along = add(along, load(grads, grad + j * column))
        store(totals, number * step, add(load(totals, number * step), along))


@jit
def backward_piece(item, grad_out, x, flipped, branches, maps, mix, grad_x, grad_taps, sizes):
    """The gradient of x; those of the taps are added to zeros.

    The gradient of a map is mix[3k] · grad_out + mix[3k + 1] · maps[k] + mix[3k + 2]. `flipped` are
    the taps, the last first.
    """
    _, channels, height, width, number, reach, strips = sizes
    step, every = lanes(maps), all_taps(branches)
    n, b, c, count, first, last = piece_bounds(item, channels, height, strips, maps)
    span, rows, flat_line = (first, last, height), last - first, tiled(width) * step
    top, bottom = max(first - reach, 0), min(last + reach, height)
    line = flat_line + 2 * reach * step
    padded = pack_padded(part(x, b, c), count, span, width, reach, line, maps)
    grads, outer = scratch(len(padded), maps), aligned((bottom - top) * flat_line, maps)
    mixed, zeros = scratch(rows * flat_line, maps), scratch(step, maps)
    pack(part(grad_out, b, c), count, top, bottom, width, outer, 0, flat_line)
    for k in range(number):
        size, dilation, tap = branches[k]
        at = (c * number + k * step) * 3
        direct, pull, offset = load(mix, at), load(mix, at + step), load(mix, at + 2 * step)
        for i in range(top, bottom):
            at = ((n * number + k) * height + i) * flat_line
            to = (i - first + reach) * line + reach * step
            for j in range(width):
                grad = fma(load(outer, (i - top) * flat_line + j * step), direct, offset)
                store(grads, to + j * step, fma(load(maps, at + j * step), pull, grad))
        inset = (reach - dilation * (size // 2)) * (line + step)
        kernel = flipped[c * every + (every - tap - size * size) * step :]
        convolve(grads[inset:], line, kernel, zeros, size, dilation, span, width, mixed, True)
        out, middle = grad_taps[(item * every + tap) * step :], reach * (line + step)
        correlate(padded[inset:], line, grads, middle, size, dilation, span, width, out)
    unpack(mixed, part(grad_x, b, c), count, first, last, width, flat_line)


@jit
def statistics(stats, sizes, mean, var):
    """Mean and variance of every branch's map over images and pixels, (N, C), from the pieces'."""
    batch, channels, height, width, number, _, strips = sizes
    step = lanes(stats)
    stats = stats.reshape(batch, -1, strips, number, 2, step)
    rows = np.empty(strips)
    for strip in range(strips):
        rows[strip] = (strip + 1) * height // strips - strip * height // strips
    for k in range(number):
        for c in range(channels):
            v, lane, total, deviation = c // step, c % step, 0.0, 0.0
            for b in range(batch):
                for strip in range(strips):
                    total += rows[strip] * stats[b, v, strip, k, 0, lane]
            center = total / (batch * height)
            for b in range(batch):
                for strip in range(strips):
                    apart = stats[b, v, strip, k, 0, lane] - center
                    deviation += (
                        stats[b, v, strip, k, 1, lane] + rows[strip] * width * apart * apart
                    )
            mean[k, c], var[k, c] = center, deviation / (batch * height * width)


@jit
def forward(pieces, threads, x, weight, gamma, beta, branches, eps, maps, out, mean, var, sizes):
    """The sum of the normalised branches, to `out`; all maps, and their mean and variance, (N, C).

    Weight is (C, T), gamma and beta (N, C).
    """
    number, channels = gamma.shape
    taps = taps_in_vectors(weight, maps)
    stats = aligned(pieces * number * 2 * lanes(maps), maps)
    parallel_for(convolve_piece, pieces, threads, (x, taps, branches, maps, stats, sizes))
    statistics(stats, sizes, mean, var)
    factors = np.zeros((1, number + 1, channels))
    for k in range(number):
        for c in range(channels):
            factor = gamma[k, c] / math.sqrt(var[k, c] + eps)
            factors[0, k, c] = factor
            factors[0, number, c] += beta[k, c] - factor * mean[k, c]
    parallel_for(add_piece, pieces, threads, (maps, to_vectors(factors, maps), out, sizes))


@jit
def backward(
    pieces, threads, grad_out, x, weight, gamma, branches, eps, maps, mean, var, grads, sizes
):
    """Gradients of x, weight, gamma and beta."""
    (number, channels), (batch, _, height, width, _, _, strips) = gamma.shape, sizes
    grad_x, grad_weight, grad_gamma, grad_beta = grads
    centers, sums = mean.astype(maps.dtype), scratch(pieces * (number + 1) * lanes(maps), maps)
    vectors = taps_in_vectors(centers.T, maps)
    parallel_for(sums_piece, pieces, threads, (grad_out, maps, vectors, sums, sizes))
    of_images = sum_strips(sums, batch, strips, number + 1, channels)
    totals = np.empty((number + 1, channels))
    for k in range(number + 1):
        add_up(of_images[:, k], totals[k])
    area, mixes = batch * height * width, np.empty((1, 3 * number, channels))
    for k in range(number):
        for c in range(channels):
            rstd, total = 1 / math.sqrt(var[k, c] + eps), totals[number, c]
            gradient = (totals[k, c] + (centers[k, c] - mean[k, c]) * total) * rstd
            grad_gamma[k, c], grad_beta[k, c] = gradient, total
            # Of a map: γ·rstd · (grad - mean(grad) - normalised · mean(grad · normalised))
            factor = gamma[k, c] * rstd
            pull = -factor * rstd * gradient / area
            mixes[0, 3 * k, c], mixes[0, 3 * k + 1, c] = factor, pull
            mixes[0, 3 * k + 2, c] = -factor * total / area - pull * mean[k, c]

    flipped, every = taps_in_vectors(weight[:, ::-1], maps), weight.shape[1]
    grad_taps, mix = scratch(pieces * every * lanes(maps), maps), to_vectors(mixes, maps)
    args = (grad_out, x, flipped, branches, maps, mix, grad_x, grad_taps, sizes)
    parallel_for(backward_piece, pieces, threads, args)
    add_taps(threads, grad_taps, batch, strips, grad_weight)
