"""Loops of depthwise convolutions that are normalised by their own statistics and added up.

A thread takes one vector of channels of some rows of an image through all branches: it copies its
part of the input into scratch memory once, and once back. The maps that the branches give are kept
for the backward pass as they are made, (B, vectors of channels, branches, H, tiled(W), lanes).
What the statistics are, and what follows from them, is the caller's: batch_norm.py.

Numbers of channels are (vectors of channels, numbers, lanes), or (pieces, numbers, lanes) if they
are sums over a piece. `taps` are those of all branches, one after the other; `branches` (N, 3) says
of each branch K, its dilation, and which tap is its first. `sizes` is B, C, H, W, N, the reach of
the largest branch on either side, and into how many strips of rows a map is cut. Every array but
those with strides is contiguous.
"""

from __future__ import annotations

from numba import njit

from mmoverlock.ops.numba_maps import COMPILE, aligned, pack, pixels, scratch, tiled, unpack
from mmoverlock.ops.simd import add, fma, lanes, load, mul, splat, store, sub
from mmoverlock.ops.threads import share

from .numba_kernels import convolve, correlate, pack_padded, place


@njit(**COMPILE)
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


@njit(**COMPILE)
def all_taps(branches):
    """How many taps the branches have."""
    size, _, first = branches[-1]
    return first + size * size


@njit(**COMPILE)
def convolve_piece(item, x, strides, taps, branches, maps, stats, sizes):
    """The map of every branch; of each its mean and squared deviations to stats."""
    _, channels, height, width, number, reach, strips = sizes
    step = lanes(x)
    n, b, c, count, first, last = place(item, channels, height, strips, x)
    rows, flat_line = last - first, tiled(width) * step
    line = flat_line + 2 * reach * step
    padded, zeros = scratch((rows + 2 * reach) * line, x), scratch(step, x)
    start = b * strides[0] + c * strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, reach, padded, line)
    for k in range(number):
        size, dilation, tap = branches[k]
        inset = (reach - dilation * (size // 2)) * (line + step)
        kernel = taps[c * all_taps(branches) + tap * step :]
        out = maps[((n * number + k) * height + first) * flat_line :]
        convolve(padded[inset:], line, kernel, zeros, size, dilation, rows, width, out, False)
        mean_and_deviation(out, rows, width, stats[(item * number + k) * 2 * step :])


@njit(**COMPILE)
def convolve_branches(pieces, threads, *args):
    """:func:`convolve_piece` for every piece."""
    share(convolve_piece, pieces, threads, args)


@njit(**COMPILE)
def add_piece(item, maps, factors, out, strides, sizes):
    """out (B, C, H, W) = Σ_k factors[k] · maps[k] + factors[N]"""
    _, channels, height, width, number, _, strips = sizes
    step = lanes(maps)
    n, b, c, count, first, last = place(item, channels, height, strips, maps)
    line, factor = tiled(width) * step, factors[c * (number + 1) :]
    mixed = aligned(line, maps)
    start = b * strides[0] + c * strides[1]
    for i in range(first, last):
        for j in range(width):
            total = load(factor, number * step)
            for k in range(number):
                at = ((n * number + k) * height + i) * line + j * step
                total = fma(load(maps, at), load(factor, k * step), total)
            store(mixed, j * step, total)
        unpack(mixed, out, start, strides, count, i, i + 1, width, line, False)


@njit(**COMPILE)
def add_branches(pieces, threads, *args):
    """:func:`add_piece` for every piece."""
    share(add_piece, pieces, threads, args)


@njit(**COMPILE)
def sums_piece(item, grad_out, strides, maps, means, sums, sizes):
    """Σ grad_out · (maps[k] - means[k]) for every branch, and Σ grad_out, to sums, zeros before."""
    _, channels, height, width, number, _, strips = sizes
    step = lanes(maps)
    n, b, c, count, first, last = place(item, channels, height, strips, maps)
    line, zero = tiled(width) * step, splat(maps.dtype.type(0))
    totals = sums[item * (number + 1) * step :]
    start = b * strides[0] + c * strides[1]
    grads, here, row, column = pixels(grad_out, start, strides, count, first, last, width)
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


@njit(**COMPILE)
def sum_gradients(pieces, threads, *args):
    """:func:`sums_piece` for every piece."""
    share(sums_piece, pieces, threads, args)


@njit(**COMPILE)
def backward_piece(
    item,
    grad_out,
    grad_strides,
    x,
    strides,
    flipped,
    branches,
    maps,
    mix,
    grad_x,
    grad_taps,
    sizes,
):
    """Gradients of x, with its strides, and of the taps, zeros before.

    The gradient of a map is mix[3k] · grad_out + mix[3k + 1] · maps[k] + mix[3k + 2]. `flipped` are
    the taps, the last first.
    """
    _, channels, height, width, number, reach, strips = sizes
    step, every = lanes(x), all_taps(branches)
    n, b, c, count, first, last = place(item, channels, height, strips, x)
    top, bottom = max(first - reach, 0), min(last + reach, height)
    rows, flat_line = last - first, tiled(width) * step
    line = flat_line + 2 * reach * step
    padded = scratch((rows + 2 * reach) * line, x)
    grads = scratch((rows + 2 * reach) * line, x)
    outer = aligned((bottom - top) * flat_line, x)
    mixed, zeros = scratch(rows * flat_line, x), scratch(step, x)
    start = b * strides[0] + c * strides[1]
    grad_start = b * grad_strides[0] + c * grad_strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, reach, padded, line)
    pack(grad_out, grad_start, grad_strides, count, top, bottom, width, outer, 0, flat_line)
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
        convolve(grads[inset:], line, kernel, zeros, size, dilation, rows, width, mixed, True)
        out, middle = grad_taps[(item * every + tap) * step :], reach * (line + step)
        correlate(padded[inset:], line, grads, middle, size, dilation, rows, width, out)
    start += first * strides[2]
    unpack(mixed, grad_x, start, strides, count, 0, rows, width, flat_line, False)


@njit(**COMPILE)
def backward_branches(pieces, threads, *args):
    """:func:`backward_piece` for every piece."""
    share(backward_piece, pieces, threads, args)
