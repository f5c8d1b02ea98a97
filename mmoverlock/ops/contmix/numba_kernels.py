"""Loops of ContMix, fused with its softmax.

A map is what one group of one image sees. A thread copies the map into scratch memory, in the
layouts that its vectors want, and then goes through it row by row. What concerns all pixels alike,
queries and keys, is a product of matrices over a row; for what concerns the window of a pixel see
_numba/windows.py. Scratch is padded to whole vectors and tiles.

query is (B, G, c, H, W), and value, out and their gradients are (B, 2, G, C, H, W), of any strides.
Contiguous and flat are keys (B, G, c, T), the tables (G, 2·K - 1, 2·K - 1), log_sum (B, 2, G, H, W)
and, as an array, bias (T). `sizes` is B, G, c, C, H, W, ks, kl and into how many strips of rows a
map is cut. Half 0 is the small kernels', 1 the large ones'.
"""

import math

import numpy as np

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import TILE, add_up, pack, padded, part, scratch, tiled, unpack
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import (
    add,
    exp,
    fma,
    fma_each,
    fma_splats,
    highest,
    lanes,
    load,
    maximum,
    mul,
    repeat,
    splat,
    store,
    store_each,
    sub,
    total,
)
from mmoverlock.ops._numba.windows import (
    gather,
    pack_planes,
    project,
    row_pitch,
    scatter,
    window_start,
)


@jit
def times(left, stride, rows, inner, right, columns, out, line):
    """out = left · right, of (rows, inner) and (inner, columns); `columns` are whole vectors.

    Rows of `left` are `stride` elements apart, and rows of `out` `line`; `rows` are whole tiles.
    """
    for t in range(0, columns, lanes(out)):
        for p in range(0, rows, TILE):
            sums = repeat(splat(out.dtype.type(0)), TILE)
            for c in range(inner):
                sums = fma_splats(sums, left, p * stride + c, stride, load(right, c * columns + t))
            store_each(out, p * line + t, line, sums)


@jit
def add_transposed_times(left, stride, rows, inner, right, columns, out):
    """out += leftᵀ · right, of (rows, inner) and (rows, columns); `inner` are whole tiles."""
    one = splat(out.dtype.type(1))
    for c in range(0, columns, lanes(out)):
        for t in range(0, inner, TILE):
            sums = repeat(splat(out.dtype.type(0)), TILE)
            for p in range(rows):
                sums = fma_splats(sums, left, p * stride + t, 1, load(right, p * columns + c))
            at = t * columns + c
            store_each(out, at, columns, fma_each(sums, out, at, columns, one))


@jit
def tap_bias(bias, table, row, column, size, out):
    """Bias of every tap of a pixel whose window starts at (row, column) of the table of offsets.

    Beyond the taps, the bias is -inf: softmax then leaves nothing there.
    """
    for a in range(size):
        at = (row + a) * (2 * size - 1) + column
        for b in range(0, size, lanes(out)):
            store(out, a * size + b, add(load(bias, a * size + b), load(table, at + b)))
    store(out, size * size, splat(out.dtype.type(-np.inf)))


@jit
def add_to_table(taps, mask, table, row, column, size):
    """The reverse: add every tap to its offset; `mask` is 1 for K lanes and 0 behind."""
    for a in range(size):
        at = (row + a) * (2 * size - 1) + column
        for b in range(0, size, lanes(taps)):
            sums = fma(load(taps, a * size + b), load(mask, b), load(table, at + b))
            store(table, at + b, sums)


@jit
def padded_copy(numbers, count):
    """A copy with zeros behind, for loads that reach beyond `count` numbers."""
    copy = scratch(count + 2 * lanes(numbers), numbers)
    for k in range(len(numbers)):
        copy[k] = numbers[k]
    return copy


@jit
def taps_of(half, g, bias, tables, sizes):
    """Of one half: K, the first of its taps, and copies of their bias and of the group's table."""
    small, large = sizes[6:8]
    size, first_tap = (large, small * small) if half else (small, 0)
    taps, table_size = size * size, (2 * size - 1) * (2 * size - 1)
    tap_biases = padded_copy(bias[first_tap : first_tap + taps], padded(taps, bias))
    table = padded_copy(tables[half][g * table_size : (g + 1) * table_size], table_size)
    return size, first_tap, tap_biases, table


@jit
def forward_half(half, item, query, keys, bias, value, out, log_sum, tables, sizes):
    """One half of a piece of the result."""
    _, groups, inner, channels, height, width, small, large, strips = sizes
    n, strip = item // strips, item % strips
    b, g = n // groups, n % groups
    size, first_tap, tap_biases, table = taps_of(half, g, bias, tables, sizes)
    taps, step, inner_step = size * size, padded(channels, keys), padded(inner, keys)
    plane = padded(taps, keys)
    first, last = strip * height // strips, (strip + 1) * height // strips
    top = window_start(first, height, size)
    bottom = window_start(last - 1, height, size) + size
    rows = scratch((bottom - top) * width * step, keys)
    queries = scratch(tiled(width) * inner_step, keys)
    mixed = scratch(width * step, keys)
    keys_n = scratch(inner * plane, keys)
    kernels = scratch(tiled(width) * plane, keys)
    biases = scratch(len(tap_biases), keys)

    log_sum_n = ((b * 2 + half) * groups + g) * height * width
    pack(part(value, b, half, g), channels, top, bottom, width, rows, 0, width * step)
    for c in range(inner):
        at = (n * inner + c) * (small * small + large * large) + first_tap
        for t in range(taps):
            keys_n[c * plane + t] = keys[at + t]

    for i in range(first, last):
        row = window_start(i, height, size)
        pack(part(query, b, g), inner, i, i + 1, width, queries, 0, 0)
        times(queries, inner_step, tiled(width), inner, keys_n, plane, kernels, plane)
        previous = -1
        for j in range(width):
            column = window_start(j, width, size)
            offset = column - j + size - 1
            if offset != previous:
                tap_bias(tap_biases, table, row - i + size - 1, offset, size, biases)
                previous = offset
            at, peaks = j * plane, splat(keys.dtype.type(-np.inf))
            for t in range(0, plane, lanes(keys)):
                logits = add(load(kernels, at + t), load(biases, t))
                peaks = maximum(peaks, logits)
                store(kernels, at + t, logits)
            peak, sums = highest(peaks), splat(keys.dtype.type(0))
            for t in range(at, at + plane, lanes(keys)):
                terms = exp(sub(load(kernels, t), splat(peak)))
                sums = add(sums, terms)
                store(kernels, t, terms)
            denominator = total(sums)
            scale = splat(keys.dtype.type(1) / denominator)
            for t in range(at, at + plane, lanes(keys)):
                store(kernels, t, mul(load(kernels, t), scale))
            log_sum[log_sum_n + i * width + j] = peak + math.log(denominator)
        gather(kernels, plane, rows, row - top, width, size, step, mixed)
        unpack(mixed, part(out, b, half, g), channels, i, i + 1, width, 0)


@jit
def forward_piece(item, query, keys, bias, value, out, log_sum, tables, sizes):
    """The result for some rows of a map."""
    for half in range(2):
        forward_half(half, item, query, keys, bias, value, out, log_sum, tables, sizes)


@jit
def forward(pieces, threads, *args):
    """:func:`forward_piece` for every piece."""
    parallel_for(forward_piece, pieces, threads, args)


@jit
def backward_half(half, n, maps, tables, grads, grad_tables, sizes):
    """Gradients of one half for map n. What the second half finds in grad_query, it adds to.

    Those of the biases are of this map alone: grad_bias (B·G, T) and grad_tables, of both halves,
    (B, G·(2·K - 1)²).
    """
    grad_out, query, keys, bias, value, out, log_sum = maps
    grad_query, grad_keys, grad_bias, grad_value = grads
    _, groups, inner, channels, height, width, small, large, _ = sizes
    b, g = n // groups, n % groups
    size, first_tap, tap_biases, table = taps_of(half, g, bias, tables, sizes)
    every = small * small + large * large
    taps, table_size = size * size, (2 * size - 1) * (2 * size - 1)
    step, inner_step = padded(channels, keys), padded(inner, keys)
    plane, line = padded(taps, keys), row_pitch(size, keys)
    map_plane = padded(height * width, keys) + lanes(keys)
    zero = keys.dtype.type(0)
    planes = scratch(channels * map_plane + TILE * width, keys)
    grad_rows = scratch(height * width * step, keys)
    queries = scratch(tiled(width) * inner_step, keys)
    grad_queries = scratch(tiled(width) * inner_step, keys)
    outs = scratch(width * step, keys)
    grad_outs = scratch(width * step, keys)
    keys_n = scratch(inner * plane, keys)
    keys_t = scratch(taps * inner_step, keys)
    grad_keys_t = scratch(tiled(taps) * inner_step, keys)
    kernels = scratch(tiled(width) * plane, keys)
    grad_kernels = scratch(tiled(width) * line, keys)
    biases = scratch(len(tap_biases), keys)
    grad_biases = scratch(len(tap_biases), keys)  # of the pixels since the table was moved
    grad_bias_n = scratch(plane, keys)
    grad_table = scratch(len(table), keys)
    mask = scratch(size + 2 * lanes(keys), keys)
    mask[:size] = 1

    log_sum_n = ((b * 2 + half) * groups + g) * height * width
    pack_planes(part(value, b, half, g), channels, height, width, map_plane, planes)
    for c in range(inner):
        at = (n * inner + c) * every + first_tap
        for t in range(taps):
            keys_n[c * plane + t] = keys_t[t * inner_step + c] = keys[at + t]

    for i in range(height):
        row = window_start(i, height, size)
        pack(part(query, b, g), inner, i, i + 1, width, queries, 0, 0)
        pack(part(out, b, half, g), channels, i, i + 1, width, outs, 0, 0)
        pack(part(grad_out, b, half, g), channels, i, i + 1, width, grad_outs, 0, 0)
        times(queries, inner_step, tiled(width), inner, keys_n, plane, kernels, plane)
        project(grad_outs, step, channels, planes, map_plane, row, width, size, grad_kernels)
        previous = -1
        for j in range(width):
            column = window_start(j, width, size)
            offset = column - j + size - 1
            if offset != previous:
                tap_bias(tap_biases, table, row - i + size - 1, offset, size, biases)
                previous = offset
            inward = splat(zero)  # Σ_t kernel[t] · grad_kernel[t]
            for at in range(j * step, (j + 1) * step, lanes(keys)):
                inward = fma(load(grad_outs, at), load(outs, at), inward)
            inward = splat(total(inward))
            log_sums = splat(log_sum[log_sum_n + i * width + j])

            at, grad_at = j * plane, j * line
            store(grad_kernels, grad_at + taps, splat(zero))
            for t in range(0, taps, lanes(kernels)):
                logits = add(load(kernels, at + t), load(biases, t))
                weights = exp(sub(logits, log_sums))
                pull = mul(weights, sub(load(grad_kernels, grad_at + t), inward))
                store(kernels, at + t, weights)
                store(grad_kernels, grad_at + t, pull)
                store(grad_biases, t, add(load(grad_biases, t), pull))
            if j == width - 1 or offset != window_start(j + 1, width, size) - j + size - 2:
                add_to_table(grad_biases, mask, grad_table, row - i + size - 1, offset, size)
                for t in range(0, taps, lanes(kernels)):
                    store(grad_bias_n, t, add(load(grad_bias_n, t), load(grad_biases, t)))
                    store(grad_biases, t, splat(zero))
        scatter(kernels, plane, grad_outs, width, size, step, grad_rows, row)
        times(grad_kernels, line, tiled(width), taps, keys_t, inner_step, grad_queries, inner_step)
        add_transposed_times(
            grad_kernels, line, width, tiled(taps), queries, inner_step, grad_keys_t
        )
        more = half == 1  # than the first half wrote
        unpack(grad_queries, part(grad_query, b, g), inner, i, i + 1, width, 0, more)

    unpack(grad_rows, part(grad_value, b, half, g), channels, 0, height, width, width * step)
    for c in range(inner):
        at = (n * inner + c) * every + first_tap
        for t in range(taps):
            grad_keys[at + t] = grad_keys_t[t * inner_step + c]
    for t in range(taps):
        grad_bias[n, first_tap + t] = grad_bias_n[t]
    for t in range(table_size):
        grad_tables[half][b, g * table_size + t] = grad_table[t]


@jit
def backward_piece(n, maps, tables, grads, grad_tables, sizes):
    """Gradients of map n."""
    for half in range(2):
        backward_half(half, n, maps, tables, grads, grad_tables, sizes)


@jit
def backward(pieces, threads, maps, tables, grads, grad_tables, sizes):
    """:func:`backward_piece` for every piece, and the sums over maps and images.

    `grads` are those of query, keys, bias and value.
    """
    grad_query, grad_keys, grad_bias, grad_value = grads
    dtype, batch, (small, large) = grad_bias.dtype, sizes[0], grad_tables
    biases = np.empty((pieces, len(grad_bias)), dtype)
    parts = np.empty((batch, len(small)), dtype), np.empty((batch, len(large)), dtype)
    of_maps = grad_query, grad_keys, biases, grad_value
    parallel_for(backward_piece, pieces, threads, (maps, tables, of_maps, parts, sizes))
    add_up(biases, grad_bias)
    add_up(parts[0], small)
    add_up(parts[1], large)
