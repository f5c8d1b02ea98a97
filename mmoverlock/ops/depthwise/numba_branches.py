"""Loops of depthwise convolutions that are normalised by their own statistics and added up.

A thread takes one vector of channels of some rows of an image through all branches: it copies its
part of the input into scratch memory once, and once back. The maps that the branches give are kept
for the backward pass as they are made, (B, blocks of channels, branches, H, tiled(W), lanes).
What the statistics are, and what follows from them, is the caller's: batch_norm.py, grn.py.

Shapes of the other arguments: `weight` is the (C, K·K) taps of every branch, one after the other,
and `branches` (N, 3) says of each K, its dilation, and where its taps start. `sizes` is B, C, H, W,
the reach of the largest branch on either side, and into how many strips of rows a map is cut.
Every array but those with strides is contiguous.
"""

from __future__ import annotations

from numba import njit

from mmoverlock.ops.numba_maps import COMPILE, TILE, aligned, pack, scratch, tiled, unpack
from mmoverlock.ops.simd import add, fma, lanes, load, mul, splat, store, sub
from mmoverlock.ops.threads import share

from .numba_kernels import (
    convolve,
    correlate,
    pack_channels,
    pack_flipped,
    pack_padded,
    pack_weights,
    place,
    unpack_taps,
)


@njit(**COMPILE)
def mean_and_deviation(rows, height, width, mean, deviation):
    """Mean and sum of squared deviations from it, of every lane.

    In two passes, and with rows added up by themselves, for the sake of accuracy.
    """
    step, zero = lanes(rows), rows.dtype.type(0)
    total = splat(zero)
    for i in range(height):
        along = splat(zero)
        for j in range(width):
            along = add(along, load(rows, (i * tiled(width) + j) * step))
        total = add(total, along)
    center = mul(total, splat(rows.dtype.type(1 / (height * width))))
    total = splat(zero)
    for i in range(height):
        along = splat(zero)
        for j in range(width):
            apart = sub(load(rows, (i * tiled(width) + j) * step), center)
            along = fma(apart, apart, along)
        total = add(total, along)
    store(mean, 0, center)
    store(deviation, 0, total)


@njit(**COMPILE)
def convolve_branches_piece(item, x, strides, weight, branches, maps, stats, sizes):
    """The map of every branch; mean and squared deviations to stats (B, strips, N, 2, C)."""
    batch, channels, height, width, reach, strips = sizes
    step, number = lanes(x), len(branches)
    n, b, c, count, part, first, last = place(item, channels, height, strips, x)
    rows, flat_line = last - first, tiled(width) * step
    line = flat_line + 2 * reach * step
    padded = scratch((rows + 2 * reach) * line, x)
    zeros, mean, deviation = scratch(step, x), scratch(step, x), scratch(step, x)
    start = b * strides[0] + c * strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, reach, padded, line)
    for k in range(number):
        size, dilation, taps = branches[k]
        kernel = scratch(size * size * step, x)
        pack_weights(weight[taps:], c, count, size * size, kernel)
        inset = (reach - dilation * (size // 2)) * (line + step)
        out = maps[((n * number + k) * height + first) * flat_line :]
        convolve(padded[inset:], line, kernel, zeros, size, dilation, rows, width, out, False)
        mean_and_deviation(out, rows, width, mean, deviation)
        at = (part * number + k) * 2 * channels + c
        for lane in range(count):
            stats[at + lane] = mean[lane]
            stats[at + channels + lane] = deviation[lane]


@njit(**COMPILE)
def convolve_branches(pieces, threads, *args):
    """:func:`convolve_branches_piece` for every piece."""
    share(convolve_branches_piece, pieces, threads, args)


@njit(**COMPILE)
def add_branches_piece(item, maps, factors, offsets, out, strides, sizes):
    """out (B, C, H, W) = Σ_k factors[:, k] · maps[k] + offsets, of (B, N, C) and (B, C)."""
    batch, channels, height, width, _, strips = sizes
    step, number = lanes(maps), len(factors) // (batch * channels)
    n, b, c, count, _, first, last = place(item, channels, height, strips, maps)
    line = tiled(width) * step
    mixed = aligned(line, maps)
    offset, factor = scratch(step, maps), scratch(number * step, maps)
    pack_channels(offsets, b * channels + c, count, offset)
    for k in range(number):
        pack_channels(factors, (b * number + k) * channels + c, count, factor[k * step :])
    start = b * strides[0] + c * strides[1]
    for i in range(first, last):
        for j in range(width):
            total = load(offset, 0)
            for k in range(number):
                at = ((n * number + k) * height + i) * line + j * step
                total = fma(load(maps, at), load(factor, k * step), total)
            store(mixed, j * step, total)
        unpack(mixed, out, start, strides, count, i, i + 1, width, line, False)


@njit(**COMPILE)
def add_branches(pieces, threads, *args):
    """:func:`add_branches_piece` for every piece."""
    share(add_branches_piece, pieces, threads, args)


@njit(**COMPILE)
def sum_gradients_piece(item, grad_out, strides, maps, means, sums, sizes):
    """Σ grad_out and Σ grad_out · (maps[k] - means[:, k]) to sums (B, strips, 1 + N, C)."""
    batch, channels, height, width, _, strips = sizes
    step, number = lanes(maps), len(means) // (batch * channels)
    n, b, c, count, part, first, last = place(item, channels, height, strips, maps)
    line = tiled(width) * step
    grads, mean = scratch(line, maps), scratch(step, maps)
    totals = scratch((1 + number) * step, maps)
    start = b * strides[0] + c * strides[1]
    for i in range(first, last):
        pack(grad_out, start, strides, count, i, i + 1, width, grads, 0, line)
        along = splat(maps.dtype.type(0))
        for j in range(width):
            along = add(along, load(grads, j * step))
        store(totals, 0, add(load(totals, 0), along))
        for k in range(number):
            pack_channels(means, (b * number + k) * channels + c, count, mean)
            at = ((n * number + k) * height + i) * line
            along = splat(maps.dtype.type(0))
            for j in range(width):
                apart = sub(load(maps, at + j * step), load(mean, 0))
                along = fma(load(grads, j * step), apart, along)
            to = (1 + k) * step
            store(totals, to, add(load(totals, to), along))
    for k in range(1 + number):
        at = (part * (1 + number) + k) * channels + c
        for lane in range(count):
            sums[at + lane] = totals[k * step + lane]


@njit(**COMPILE)
def sum_gradients(pieces, threads, *args):
    """:func:`sum_gradients_piece` for every piece."""
    share(sum_gradients_piece, pieces, threads, args)


@njit(**COMPILE)
def backward_branches_piece(
    item,
    grad_out,
    grad_strides,
    x,
    strides,
    weight,
    branches,
    maps,
    mix,
    grad_x,
    grad_weight,
    sizes,
):
    """Gradients of x, with its strides, and of the weights, (B, strips, as `weight`).

    The gradient of a map is mix[:, k, 0] · grad_out + mix[:, k, 1] · maps[k] + mix[:, k, 2], with
    mix (B, N, 3, C).
    """
    batch, channels, height, width, reach, strips = sizes
    step, number = lanes(x), len(branches)
    n, b, c, count, part, first, last = place(item, channels, height, strips, x)
    top, bottom = max(first - reach, 0), min(last + reach, height)
    rows, flat_line = last - first, tiled(width) * step
    line = flat_line + 2 * reach * step
    # The last tile of taps may lie beyond the last row.
    padded = scratch((rows + 2 * reach) * line + TILE * (2 * reach + 1) * step, x)
    grads = scratch((rows + 2 * reach) * line, x)
    outer = scratch((bottom - top) * flat_line, x)
    mixed = scratch(rows * flat_line, x)
    zeros, factors = scratch(step, x), scratch(3 * step, x)
    start = b * strides[0] + c * strides[1]
    grad_start = b * grad_strides[0] + c * grad_strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, reach, padded, line)
    pack(grad_out, grad_start, grad_strides, count, top, bottom, width, outer, 0, flat_line)
    for k in range(number):
        size, dilation, taps = branches[k]
        for m in range(3):
            at = (((b * number + k) * 3 + m) * channels) + c
            pack_channels(mix, at, count, factors[m * step :])
        for i in range(top, bottom):
            at = ((n * number + k) * height + i) * flat_line
            to = (i - first + reach) * line + reach * step
            for j in range(width):
                grad = load(outer, (i - top) * flat_line + j * step)
                grad = fma(grad, load(factors, 0), load(factors, 2 * step))
                here = load(maps, at + j * step)
                store(grads, to + j * step, fma(here, load(factors, step), grad))
        kernel = scratch(size * size * step, x)
        pack_flipped(weight[taps:], c, count, size * size, kernel)
        inset = (reach - dilation * (size // 2)) * (line + step)
        convolve(grads[inset:], line, kernel, zeros, size, dilation, rows, width, mixed, True)
        grad_kernel = scratch(size * tiled(size) * step, x)
        middle = reach * (line + step)
        correlate(padded[inset:], line, grads, middle, size, dilation, rows, width, grad_kernel)
        out = grad_weight[part * len(weight) + taps :]
        unpack_taps(grad_kernel, size, c, count, out)
    start += first * strides[2]
    unpack(mixed, grad_x, start, strides, count, 0, rows, width, flat_line, False)


@njit(**COMPILE)
def backward_branches(pieces, threads, *args):
    """:func:`backward_branches_piece` for every piece."""
    share(backward_branches_piece, pieces, threads, args)
