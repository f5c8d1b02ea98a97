"""Loops of ContMix, fused with its softmax, and what all loops of the numba backend share.

A map is what one group of one image sees. A thread copies the map into scratch memory, in the
layouts that its vectors want, and then goes through it row by row. What concerns all pixels alike,
queries and keys, is a product of matrices over a row; what concerns the window of a pixel is done
pixel by pixel:

- project_window: a pixel's channels against the taps of its window (gradient of the kernel),
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
def project_window(pixels, pixel, channels, planes, plane, start, width, size, out):
    """out[a·K + b] = Σ_c pixels[pixel + c] · planes[c·plane + start + a·width + b]

    Vectors reach beyond a row of taps; the next row, stored later, overwrites what is too much.
    """
    for a in range(0, size, TILE):
        for b in range((size - 1) // lanes(out) * lanes(out), -1, -lanes(out)):
            sums = repeat(splat(out.dtype.type(0)), TILE)
            at = start + a * width + b
            for c in range(channels):
                factor = splat(pixels[pixel + c])
                sums = fma_each(sums, planes, c * plane + at, width, factor)
            store_each(out, a * size + b, size, sums)


@njit(**COMPILE)
def gather(weights, taps, start, stride, size, width, pixels, pixel, scale):
    """pixels[pixel + c] = scale · Σ_{a, b} weights[a·K + b] · taps[start + a·stride + b·width + c]

    Four sums are kept, to hide the latency of an addition.
    """
    for c in range(0, width, lanes(pixels)):
        acc0 = acc1 = acc2 = acc3 = splat(weights.dtype.type(0))
        for a in range(size):
            t = a * size
            at = start + a * stride + c
            for _ in range(size // 4):
                acc0 = fma(splat(weights[t]), load(taps, at), acc0)
                acc1 = fma(splat(weights[t + 1]), load(taps, at + width), acc1)
                acc2 = fma(splat(weights[t + 2]), load(taps, at + 2 * width), acc2)
                acc3 = fma(splat(weights[t + 3]), load(taps, at + 3 * width), acc3)
                t += 4
                at += 4 * width
            for _ in range(size % 4):
                acc0 = fma(splat(weights[t]), load(taps, at), acc0)
                t += 1
                at += width
        acc = add(add(acc0, acc1), add(acc2, acc3))
        store(pixels, pixel + c, mul(acc, splat(scale)))


@njit(**COMPILE)
def scatter(weights, pixels, pixel, taps, start, stride, size, width):
    """taps[start + a·stride + b·width + c] += weights[a·K + b] · pixels[pixel + c]"""
    for c in range(0, width, lanes(taps)):
        channels = load(pixels, pixel + c)
        for a in range(size):
            at = start + a * stride + c
            for t in range(a * size, a * size + size):
                store(taps, at, fma(splat(weights[t]), channels, load(taps, at)))
                at += width


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
def contmix_forward_piece(
    item,
    query,
    query_strides,
    keys,
    bias,
    rpb,
    value,
    value_strides,
    out,
    log_sum,
    sum_strides,
    sizes,
):
    """One half of ContMix. `out` has the strides of `value`; `keys` is contiguous.

    sizes: B, G, c, C, H, W, K and into how many strips of rows a map is cut.
    """
    batch, groups, inner, channels, height, width, size, strips = sizes
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
    tap_biases[:taps] = bias
    table = scratch(table_size + beyond, value)
    table[:table_size] = rpb[g * table_size : (g + 1) * table_size]

    value_n = b * value_strides[0] + g * value_strides[1]
    query_n = b * query_strides[0] + g * query_strides[1]
    pack(value, value_n, value_strides, channels, top, bottom, width, rows, 0, width * step)
    for c in range(inner):
        for t in range(taps):
            keys_n[c * plane + t] = keys[(n * inner + c) * taps + t]

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
            kernel = kernels[j * plane :]
            peaks = splat(value.dtype.type(-np.inf))
            for t in range(0, plane, lanes(kernel)):
                logits = add(load(kernel, t), load(biases, t))
                peaks = maximum(peaks, logits)
                store(kernel, t, logits)
            peak = highest(peaks)
            sums = splat(value.dtype.type(0))
            for t in range(0, plane, lanes(kernel)):
                terms = exp(sub(load(kernel, t), splat(peak)))
                sums = add(sums, terms)
                store(kernel, t, terms)
            scale = value.dtype.type(1) / total(sums)
            start = ((row - top) * width + column) * step
            gather(kernel, rows, start, width * step, size, step, mixed, j * step, scale)
            at = b * sum_strides[0] + g * sum_strides[1] + i * width + j
            log_sum[at] = peak - np.log(scale)
        unpack(mixed, out, value_n, value_strides, channels, i, i + 1, width, 0, False)


@njit(**COMPILE)
def contmix_forward(pieces, threads, *args):
    """:func:`contmix_forward_piece` for every piece."""
    share(contmix_forward_piece, pieces, threads, args)


@njit(**COMPILE)
def contmix_backward_piece(
    n,
    grad_out,
    grad_strides,
    out,
    log_sum,
    sum_strides,
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
    """Gradients of one half. grad_value is written; to the others is added.

    grad_query (B, G, c, H, W) has the strides of `query`, out and grad_value those of `value`;
    grad_keys (B, G, c, K·K), grad_bias (B, G, K·K) and grad_rpb (B, G, 2K-1, 2K-1) are contiguous.
    """
    batch, groups, inner, channels, height, width, size, _ = sizes
    taps, table_size = size * size, (2 * size - 1) ** 2
    step, inner_step = padded(channels, value), padded(inner, value)
    plane, beyond = padded(tiled(taps), value), 2 * lanes(value)
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
    grad_kernels = scratch(tiled(width) * plane, value)
    grad_kernel = scratch(tiled(size) * size + beyond, value)
    biases = scratch(plane + beyond, value)
    tap_biases = scratch(plane + beyond, value)
    tap_biases[:taps] = bias
    table = scratch(table_size + beyond, value)
    table[:table_size] = rpb[g * table_size : (g + 1) * table_size]
    grad_biases = scratch(plane + beyond, value)  # of the pixels since the table was moved
    grad_bias_n = scratch(plane, value)
    grad_table = scratch(table_size + beyond, value)
    mask = scratch(size + beyond, value)
    mask[:size] = one

    value_n = b * value_strides[0] + g * value_strides[1]
    query_n = b * query_strides[0] + g * query_strides[1]
    grad_n = b * grad_strides[0] + g * grad_strides[1]
    pack_planes(value, value_n, value_strides, channels, height, width, map_plane, planes)
    for c in range(inner):
        for t in range(taps):
            keys_n[c * plane + t] = keys[(n * inner + c) * taps + t]
            keys_t[t * inner_step + c] = keys[(n * inner + c) * taps + t]

    for i in range(height):
        row = window_start(i, height, size)
        pack(query, query_n, query_strides, inner, i, i + 1, width, queries, 0, 0)
        pack(out, value_n, value_strides, channels, i, i + 1, width, outs, 0, 0)
        pack(grad_out, grad_n, grad_strides, channels, i, i + 1, width, grads, 0, 0)
        times(queries, inner_step, tiled(width), inner, keys_n, plane, kernels, plane)
        previous = -1
        for j in range(width):
            column = window_start(j, width, size)
            offset = column - j + size - 1
            if offset != previous:
                tap_bias(tap_biases, table, row - i + size - 1, offset, size, biases)
                previous = offset
            at = j * step
            inward = splat(zero)  # Σ_t kernel[t] · grad_kernel[t]
            for c in range(0, step, lanes(grads)):
                inward = fma(load(grads, at + c), load(outs, at + c), inward)
            inward = splat(total(inward))
            log_sums = splat(log_sum[b * sum_strides[0] + g * sum_strides[1] + i * width + j])

            start = row * width + column
            project_window(grads, at, channels, planes, map_plane, start, width, size, grad_kernel)
            store(grad_kernel, taps, splat(zero))
            kernel, grad_logits = kernels[j * plane :], grad_kernels[j * plane :]
            for t in range(0, taps, lanes(kernel)):
                weights = exp(sub(add(load(kernel, t), load(biases, t)), log_sums))
                pull = mul(weights, sub(load(grad_kernel, t), inward))
                store(kernel, t, weights)
                store(grad_logits, t, pull)
                store(grad_biases, t, add(load(grad_biases, t), pull))
            scatter(kernel, grads, at, grad_rows, start * step, width * step, size, step)
            if j == width - 1 or offset != window_start(j + 1, width, size) - j + size - 2:
                add_to_table(grad_biases, mask, grad_table, row - i + size - 1, offset, size)
                for t in range(0, taps, lanes(kernel)):
                    store(grad_bias_n, t, add(load(grad_bias_n, t), load(grad_biases, t)))
                    store(grad_biases, t, splat(zero))
        times(
            grad_kernels,
            plane,
            tiled(width),
            taps,
            keys_t,
            inner_step,
            grad_queries,
            inner_step,
        )
        add_transposed_times(
            grad_kernels, plane, width, tiled(taps), queries, inner_step, grad_keys_t
        )
        unpack(grad_queries, grad_query, query_n, query_strides, inner, i, i + 1, width, 0, True)

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
        for t in range(taps):
            grad_keys[(n * inner + c) * taps + t] += grad_keys_t[t * inner_step + c]
    for t in range(taps):
        grad_bias[n * taps + t] += grad_bias_n[t]
    for t in range(table_size):
        grad_rpb[n * table_size + t] += grad_table[t]


@njit(**COMPILE)
def contmix_backward(pieces, threads, *args):
    """:func:`contmix_backward_piece` for every piece."""
    share(contmix_backward_piece, pieces, threads, args)
