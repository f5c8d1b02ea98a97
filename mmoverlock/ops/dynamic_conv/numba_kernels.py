"""Loops of ContMix, fused with its softmax, and what all loops of the numba backend share.

A map is what one group of one image sees. A thread copies the map into scratch memory, in the
layouts that its vectors want, and then goes through it row by row. What concerns all pixels alike,
queries and keys, is a product of matrices over a row; what concerns the window of a pixel is done
pixel by pixel, or for TILE neighbours at once where the border makes them share a window:

- project: a pixel's channels against the taps of its window (gradient of the kernel),
- gather: sum taps, each a row of channels (output),
- scatter: add a pixel's channels to taps, each a row of channels (gradient of value).

Tensors come as flat arrays with their strides in elements, so that any layout runs the same code.
Scratch is padded to whole vectors and tiles.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mmoverlock.ops.numba_maps import COMPILE, TILE, pack, padded, scratch, tiled, unpack
from mmoverlock.ops.simd import (
    add,
    exp,
    fma,
    fma_each,
    fma_splats,
    fma_sum,
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
from mmoverlock.ops.threads import share


@njit(**COMPILE)
def window_start(i, length, size):
    """First row or column of the window of pixel i: NATTEN's rule."""
    return min(max(i - size // 2, 0), length - size)


@njit(**COMPILE)
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


@njit(**COMPILE)
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


@njit(**COMPILE)
def together(j, width, size):
    """How many pixels of a row are taken at once from pixel j on: TILE, if they share a window."""
    last = j + TILE - 1
    alike = last < width and window_start(last, width, size) == window_start(j, width, size)
    return TILE if alike else 1


@njit(**COMPILE)
def room(size, array):
    """Elements between the taps of neighbouring pixels: some are written behind a pixel's taps."""
    return padded(tiled(size) * size + lanes(array), array)


@njit(**COMPILE)
def project(pixels, step, channels, planes, plane, row, width, size, out):
    """out[j, a, b] = Σ_c pixels[j, c] · planes[c, row + a, start(j) + b]

    Vectors reach beyond a row of taps; the next row, stored later, overwrites what is too much.
    """
    line, zero = room(size, out), splat(out.dtype.type(0))
    j = 0
    while j < width:
        start, number = row * width + window_start(j, width, size), together(j, width, size)
        at, to, b = j * step, j * line, padded(size, out) - lanes(out)
        while b >= 0:
            if number == TILE:
                for a in range(size):
                    sums, source = repeat(zero, TILE), start + a * width + b
                    for c in range(channels):
                        values = load(planes, c * plane + source)
                        sums = fma_splats(sums, pixels, at + c, step, values)
                    store_each(out, to + a * size + b, line, sums)
            else:
                for a in range(0, size, TILE):
                    sums, source = repeat(zero, TILE), start + a * width + b
                    for c in range(channels):
                        factor = splat(pixels[at + c])
                        sums = fma_each(sums, planes, c * plane + source, width, factor)
                    store_each(out, to + a * size + b, size, sums)
            b -= lanes(out)
        j += number


@njit(**COMPILE)
def gather(kernels, line, rows, row, width, size, step, out):
    """out[j, c] = Σ_{a, b} kernels[j, a, b] · rows[row + a, start(j) + b, c]

    For a pixel alone, four sums are kept, to hide the latency of an addition.
    """
    zero, stride = splat(out.dtype.type(0)), width * step
    j = 0
    while j < width:
        start, number = row * stride + window_start(j, width, size) * step, together(j, width, size)
        for c in range(0, step, lanes(out)):
            if number == TILE:
                sums = repeat(zero, TILE)
                for a in range(size):
                    at = start + a * stride + c
                    for t in range(j * line + a * size, j * line + a * size + size):
                        sums = fma_splats(sums, kernels, t, line, load(rows, at))
                        at += step
                store_each(out, j * step + c, step, sums)
            else:
                acc0 = acc1 = acc2 = acc3 = zero
                for a in range(size):
                    t, at = j * line + a * size, start + a * stride + c
                    for _ in range(size // 4):
                        acc0 = fma(splat(kernels[t]), load(rows, at), acc0)
                        acc1 = fma(splat(kernels[t + 1]), load(rows, at + step), acc1)
                        acc2 = fma(splat(kernels[t + 2]), load(rows, at + 2 * step), acc2)
                        acc3 = fma(splat(kernels[t + 3]), load(rows, at + 3 * step), acc3)
                        t += 4
                        at += 4 * step
                    for _ in range(size % 4):
                        acc0 = fma(splat(kernels[t]), load(rows, at), acc0)
                        t += 1
                        at += step
                store(out, j * step + c, add(add(acc0, acc1), add(acc2, acc3)))
        j += number


@njit(**COMPILE)
def scatter(kernels, line, pixels, width, size, step, rows, row):
    """rows[row + a, start(j) + b, c] += kernels[j, a, b] · pixels[j, c]"""
    zero, one, stride = splat(rows.dtype.type(0)), splat(rows.dtype.type(1)), width * step
    j = 0
    while j < width:
        start, number = row * stride + window_start(j, width, size) * step, together(j, width, size)
        for c in range(0, step, lanes(rows)):
            if number == TILE:
                channels = fma_each(repeat(zero, TILE), pixels, j * step + c, step, one)
                for a in range(size):
                    at = start + a * stride + c
                    for t in range(j * line + a * size, j * line + a * size + size):
                        store(rows, at, fma_sum(load(rows, at), kernels, t, line, channels))
                        at += step
            else:
                channel = load(pixels, j * step + c)
                for a in range(size):
                    at = start + a * stride + c
                    for t in range(j * line + a * size, j * line + a * size + size):
                        store(rows, at, fma(splat(kernels[t]), channel, load(rows, at)))
                        at += step
        j += number


@njit(**COMPILE)
def pack_planes(tensor, start, strides, channels, height, width, plane, planes):
    """The (channels, H, W) map at `start` → planes of H·W, `plane` elements apart."""
    for i in range(height):
        at = start + i * strides[-2]
        for c in range(channels):
            for j in range(width):
                source = at + c * strides[-3] + j * strides[-1]
                planes[c * plane + i * width + j] = tensor[source]


@njit(**COMPILE)
def tap_bias(bias, table, row, column, size, out):
    """Bias of every tap of a pixel whose window starts at (row, column) of the table of offsets.

    Beyond the taps, the bias is -inf: softmax then leaves nothing there.
    """
    for a in range(size):
        at = (row + a) * (2 * size - 1) + column
        for b in range(0, size, lanes(out)):
            store(out, a * size + b, add(load(bias, a * size + b), load(table, at + b)))
    store(out, size * size, splat(out.dtype.type(-np.inf)))


@njit(**COMPILE)
def add_to_table(taps, mask, table, row, column, size):
    """The reverse: add every tap to its offset; `mask` is 1 for K lanes and 0 behind."""
    for a in range(size):
        at = (row + a) * (2 * size - 1) + column
        for b in range(0, size, lanes(taps)):
            sums = fma(load(taps, a * size + b), load(mask, b), load(table, at + b))
            store(table, at + b, sums)


@njit(**COMPILE)
def contmix_forward_half(
    half, item, query, query_strides, keys, bias, rpb, value, value_strides, out, log_sum, sizes
):
    """One half of ContMix: 0 the small kernels', 1 the large ones'."""
    batch, groups, inner, channels, height, width, small, large, strips = sizes
    size, first_tap = (large, small * small) if half else (small, 0)
    taps, table_size = size * size, (2 * size - 1) ** 2
    step, inner_step = padded(channels, value), padded(inner, value)
    plane, beyond = padded(taps, value), 2 * lanes(value)
    n, strip = item // strips, item % strips
    b, g = n // groups, n % groups
    first, last = strip * height // strips, (strip + 1) * height // strips
    top = window_start(first, height, size)
    bottom = window_start(last - 1, height, size) + size
    rows = scratch((bottom - top) * width * step, value)
    queries = scratch(tiled(width) * inner_step, value)
    mixed = scratch(width * step, value)
    keys_n = scratch(inner * plane, value)
    kernels = scratch(tiled(width) * plane, value)
    biases = scratch(plane + beyond, value)
    tap_biases = scratch(plane + beyond, value)
    tap_biases[:taps] = bias[first_tap : first_tap + taps]
    table = scratch(table_size + beyond, value)
    table[:table_size] = rpb[g * table_size : (g + 1) * table_size]

    value_n = b * value_strides[0] + half * value_strides[1] + g * value_strides[2]
    query_n = b * query_strides[0] + g * query_strides[1]
    log_sum_n = ((b * 2 + half) * groups + g) * height * width
    pack(value, value_n, value_strides, channels, top, bottom, width, rows, 0, width * step)
    for c in range(inner):
        at = (n * inner + c) * (small * small + large * large) + first_tap
        keys_n[c * plane : c * plane + taps] = keys[at : at + taps]

    for i in range(first, last):
        row = window_start(i, height, size)
        pack(query, query_n, query_strides, inner, i, i + 1, width, queries, 0, 0)
        times(queries, inner_step, tiled(width), inner, keys_n, plane, kernels, plane)
        previous = -1
        for j in range(width):
            column = window_start(j, width, size)
            offset = column - j + size - 1
            if offset != previous:
                tap_bias(tap_biases, table, row - i + size - 1, offset, size, biases)
                previous = offset
            at, peaks = j * plane, splat(value.dtype.type(-np.inf))
            for t in range(0, plane, lanes(value)):
                logits = add(load(kernels, at + t), load(biases, t))
                peaks = maximum(peaks, logits)
                store(kernels, at + t, logits)
            peak, sums = highest(peaks), splat(value.dtype.type(0))
            for t in range(at, at + plane, lanes(value)):
                terms = exp(sub(load(kernels, t), splat(peak)))
                sums = add(sums, terms)
                store(kernels, t, terms)
            denominator = total(sums)
            scale = splat(value.dtype.type(1) / denominator)
            for t in range(at, at + plane, lanes(value)):
                store(kernels, t, mul(load(kernels, t), scale))
            log_sum[log_sum_n + i * width + j] = peak + np.log(denominator)
        gather(kernels, plane, rows, row - top, width, size, step, mixed)
        unpack(mixed, out, value_n, value_strides, channels, i, i + 1, width, 0, False)


@njit(**COMPILE)
def contmix_forward_piece(
    item,
    query,
    query_strides,
    keys,
    bias,
    rpb_small,
    rpb_large,
    value,
    value_strides,
    out,
    log_sum,
    sizes,
):
    """ContMix of some rows of a map. `out` has the strides of `value`.

    keys (B, G, c, T), bias (T), the tables and log_sum (B, 2, G, H, W) are contiguous.
    sizes: B, G, c, C, H, W, ks, kl and into how many strips of rows a map is cut.
    """
    maps = (value, value_strides, out, log_sum, sizes)
    for half in range(2):
        rpb = rpb_large if half else rpb_small
        contmix_forward_half(half, item, query, query_strides, keys, bias, rpb, *maps)


@njit(**COMPILE)
def contmix_forward(pieces, threads, *args):
    """:func:`contmix_forward_piece` for every piece."""
    share(contmix_forward_piece, pieces, threads, args)


@njit(**COMPILE)
def contmix_backward_half(
    half,
    n,
    grad_out,
    grad_strides,
    out,
    log_sum,
    query,
    query_strides,
    keys,
    bias,
    rpb,
    value,
    value_strides,
    grad_query,
    grad_keys,
    grad_bias,
    grad_rpb,
    grad_value,
    sizes,
):
    """Gradients of one half. What the second half finds in grad_query, it adds to."""
    batch, groups, inner, channels, height, width, small, large, _ = sizes
    size, first_tap = (large, small * small) if half else (small, 0)
    every = small * small + large * large
    taps, table_size = size * size, (2 * size - 1) ** 2
    step, inner_step = padded(channels, value), padded(inner, value)
    plane, line, beyond = padded(taps, value), room(size, value), 2 * lanes(value)
    map_plane = padded(height * width, value) + lanes(value)
    zero, one = value.dtype.type(0), value.dtype.type(1)
    b, g = n // groups, n % groups
    planes = scratch(channels * map_plane + TILE * width, value)
    grad_rows = scratch(height * width * step, value)
    queries = scratch(tiled(width) * inner_step, value)
    grad_queries = scratch(tiled(width) * inner_step, value)
    outs = scratch(width * step, value)
    grads = scratch(width * step, value)
    keys_n = scratch(inner * plane, value)
    keys_t = scratch(taps * inner_step, value)
    grad_keys_t = scratch(tiled(taps) * inner_step, value)
    kernels = scratch(tiled(width) * plane, value)
    grad_kernels = scratch(tiled(width) * line, value)
    biases = scratch(plane + beyond, value)
    tap_biases = scratch(plane + beyond, value)
    tap_biases[:taps] = bias[first_tap : first_tap + taps]
    table = scratch(table_size + beyond, value)
    table[:table_size] = rpb[g * table_size : (g + 1) * table_size]
    grad_biases = scratch(plane + beyond, value)  # of the pixels since the table was moved
    grad_bias_n = scratch(plane, value)
    grad_table = scratch(table_size + beyond, value)
    mask = scratch(size + beyond, value)
    mask[:size] = one

    value_n = b * value_strides[0] + half * value_strides[1] + g * value_strides[2]
    query_n = b * query_strides[0] + g * query_strides[1]
    grad_n = b * grad_strides[0] + half * grad_strides[1] + g * grad_strides[2]
    log_sum_n = ((b * 2 + half) * groups + g) * height * width
    pack_planes(value, value_n, value_strides, channels, height, width, map_plane, planes)
    for c in range(inner):
        at = (n * inner + c) * every + first_tap
        for t in range(taps):
            keys_n[c * plane + t] = keys_t[t * inner_step + c] = keys[at + t]

    for i in range(height):
        row = window_start(i, height, size)
        pack(query, query_n, query_strides, inner, i, i + 1, width, queries, 0, 0)
        pack(out, value_n, value_strides, channels, i, i + 1, width, outs, 0, 0)
        pack(grad_out, grad_n, grad_strides, channels, i, i + 1, width, grads, 0, 0)
        times(queries, inner_step, tiled(width), inner, keys_n, plane, kernels, plane)
        project(grads, step, channels, planes, map_plane, row, width, size, grad_kernels)
        previous = -1
        for j in range(width):
            column = window_start(j, width, size)
            offset = column - j + size - 1
            if offset != previous:
                tap_bias(tap_biases, table, row - i + size - 1, offset, size, biases)
                previous = offset
            inward = splat(zero)  # Σ_t kernel[t] · grad_kernel[t]
            for at in range(j * step, (j + 1) * step, lanes(grads)):
                inward = fma(load(grads, at), load(outs, at), inward)
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
        scatter(kernels, plane, grads, width, size, step, grad_rows, row)
        times(
            grad_kernels,
            line,
            tiled(width),
            taps,
            keys_t,
            inner_step,
            grad_queries,
            inner_step,
        )
        add_transposed_times(
            grad_kernels, line, width, tiled(taps), queries, inner_step, grad_keys_t
        )
        more = half == 1  # than the first half wrote
        unpack(grad_queries, grad_query, query_n, query_strides, inner, i, i + 1, width, 0, more)

    unpack(
        grad_rows,
        grad_value,
        value_n,
        value_strides,
        channels,
        0,
        height,
        width,
        width * step,
        False,
    )
    for c in range(inner):
        at = (n * inner + c) * every + first_tap
        for t in range(taps):
            grad_keys[at + t] = grad_keys_t[t * inner_step + c]
    for t in range(taps):
        grad_bias[n, first_tap + t] = grad_bias_n[t]
    for t in range(table_size):
        grad_rpb[b, g * table_size + t] = grad_table[t]


@njit(**COMPILE)
def contmix_backward_piece(
    n,
    grad_out,
    grad_strides,
    out,
    log_sum,
    query,
    query_strides,
    keys,
    bias,
    rpb_small,
    rpb_large,
    value,
    value_strides,
    grad_query,
    grad_keys,
    grad_bias,
    grad_rpb_small,
    grad_rpb_large,
    grad_value,
    sizes,
):
    """Gradients of map n, each with the strides of its tensor.

    Those of the biases are of this map alone: grad_bias (B·G, T), grad_rpb_small (B, G·(2·ks - 1)²)
    and grad_rpb_large alike.
    """
    given = (grad_out, grad_strides, out, log_sum, query, query_strides, keys, bias)
    for half in range(2):
        rpb = rpb_large if half else rpb_small
        grad_rpb = grad_rpb_large if half else grad_rpb_small
        grads = (grad_query, grad_keys, grad_bias, grad_rpb, grad_value, sizes)
        contmix_backward_half(half, n, *given, rpb, value, value_strides, *grads)


@njit(**COMPILE)
def contmix_backward(
    pieces,
    threads,
    grad_out,
    grad_strides,
    out,
    log_sum,
    query,
    query_strides,
    keys,
    bias,
    rpb_small,
    rpb_large,
    value,
    value_strides,
    grad_query,
    grad_keys,
    grad_bias,
    grad_rpb_small,
    grad_rpb_large,
    grad_value,
    sizes,
):
    """:func:`contmix_backward_piece` for every piece, and the sums over maps and images."""
    batch = sizes[0]
    biases = np.empty((pieces, len(bias)), value.dtype)
    smalls = np.empty((batch, len(rpb_small)), value.dtype)
    larges = np.empty((batch, len(rpb_large)), value.dtype)
    maps = (grad_out, grad_strides, out, log_sum, query, query_strides)
    given = (keys, bias, rpb_small, rpb_large, value, value_strides)
    grads = (grad_query, grad_keys, biases, smalls, larges, grad_value, sizes)
    share(contmix_backward_piece, pieces, threads, maps + given + grads)
    grad_bias[:], grad_rpb_small[:], grad_rpb_large[:] = biases.sum(0), smalls.sum(0), larges.sum(0)
