"""The loops of the numba backend: dynamic convolution, and ContMix fused with its softmax.

A map is what one group of one image sees. A thread copies the map into scratch memory, in the
layouts that its vectors want, and then visits the pixels one by one; what a pixel needs stays in
the first-level cache. Three steps do all the arithmetic:

- project: a pixel's channels against taps side by side (logits; gradients of the kernel),
- gather: sum taps, each a row of channels (output; gradient of the query),
- scatter: add a pixel's channels to taps, each a row of channels (gradients of value and keys).

Tensors come as flat arrays with their strides in elements, so that any layout runs the same code.
Scratch is padded to whole vectors.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from mmoverlock.ops.numba_maps import COMPILE, pack, padded, scratch, unpack
from mmoverlock.ops.simd import (
    add,
    exp,
    fma,
    highest,
    lanes,
    load,
    maximum,
    mul,
    splat,
    store,
    sub,
    total,
)


@njit(**COMPILE)
def window_start(i, length, size):
    """First row or column of the window of pixel i: NATTEN's rule."""
    return min(max(i - size // 2, 0), length - size)


@njit(**COMPILE)
def project(pixels, pixel, channels, taps, plane, start, stride, rows, length, out):
    """out[a·length + t] = Σ_c pixels[pixel + c] · taps[c·plane + start + a·stride + t]"""
    for a in range(rows):
        for t in range(0, length, lanes(out)):
            at = start + a * stride + t
            acc = mul(splat(pixels[pixel]), load(taps, at))
            for c in range(1, channels):
                acc = fma(splat(pixels[pixel + c]), load(taps, c * plane + at), acc)
            store(out, a * length + t, acc)  # the next row overwrites what is too much


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
def tap_bias(bias, rpb, table, row, column, size, out):
    """Bias of every tap of a pixel whose window starts at (row, column) of the table of offsets."""
    span = 2 * size - 1
    for a in range(size):
        at = (table * span + row + a) * span + column
        for b in range(size):
            out[a * size + b] = bias[a * size + b] + rpb[at + b]


@njit(parallel=True, **COMPILE)
def contmix_forward(
    query, query_strides, keys, bias, rpb, value, value_strides, out, log_sum, sum_strides, sizes
):
    """One half of ContMix. `out` has the strides of `value`; `keys` is contiguous.

    sizes: B, G, c, C, H, W, K and into how many strips of rows a map is cut.
    """
    batch, groups, inner, channels, height, width, size, strips = sizes
    taps = size * size
    step, inner_step = padded(channels, value), padded(inner, value)
    plane = padded(taps, value)
    for item in prange(batch * groups * strips):
        n, strip = item // strips, item % strips
        b, g = n // groups, n % groups
        first, last = strip * height // strips, (strip + 1) * height // strips
        top = window_start(first, height, size)
        bottom = window_start(last - 1, height, size) + size
        rows = scratch((bottom - top) * width * step, value)
        queries = scratch(width * inner_step, value)
        mixed = scratch(width * step, value)
        keys_n = scratch(inner * plane, value)
        kernel = scratch(plane, value)
        biases = scratch(plane, value)
        biases[:] = -np.inf

        value_n = b * value_strides[0] + g * value_strides[1]
        query_n = b * query_strides[0] + g * query_strides[1]
        pack(value, value_n, value_strides, channels, top, bottom, width, rows, 0, width * step)
        for c in range(inner):
            for t in range(taps):
                keys_n[c * plane + t] = keys[(n * inner + c) * taps + t]

        for i in range(first, last):
            row = window_start(i, height, size)
            pack(query, query_n, query_strides, inner, i, i + 1, width, queries, 0, 0)
            previous = -1
            for j in range(width):
                column = window_start(j, width, size)
                offset = column - j + size - 1
                if offset != previous:
                    tap_bias(bias, rpb, g, row - i + size - 1, offset, size, biases)
                    previous = offset
                project(queries, j * inner_step, inner, keys_n, plane, 0, 0, 1, taps, kernel)
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


@njit(parallel=True, **COMPILE)
def contmix_backward(
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
    taps, span = size * size, 2 * size - 1
    step, inner_step = padded(channels, value), padded(inner, value)
    plane, map_plane = padded(taps, value), padded(height * width, value) + lanes(value)
    zero, one = value.dtype.type(0), value.dtype.type(1)
    for n in prange(batch * groups):
        b, g = n // groups, n % groups
        planes = scratch(channels * map_plane, value)
        grad_rows = scratch(height * width * step, value)
        queries = scratch(width * inner_step, value)
        grad_queries = scratch(width * inner_step, value)
        outs = scratch(width * step, value)
        grads = scratch(width * step, value)
        keys_n = scratch(inner * plane, value)
        keys_t = scratch(taps * inner_step, value)
        grad_keys_t = scratch(taps * inner_step, value)
        kernel = scratch(plane, value)
        grad_kernel = scratch(plane + lanes(value), value)
        biases = scratch(plane, value)
        biases[:] = -np.inf
        grad_biases = scratch(plane, value)

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
            previous = -1
            for j in range(width):
                column = window_start(j, width, size)
                offset = column - j + size - 1
                if offset != previous:
                    tap_bias(bias, rpb, g, row - i + size - 1, offset, size, biases)
                    previous = offset
                at_query, at = j * inner_step, j * step
                inward = splat(zero)  # Σ_t kernel[t] · grad_kernel[t]
                for c in range(0, step, lanes(grads)):
                    inward = fma(load(grads, at + c), load(outs, at + c), inward)
                inward = splat(total(inward))
                log_sums = splat(log_sum[b * sum_strides[0] + g * sum_strides[1] + i * width + j])

                project(queries, at_query, inner, keys_n, plane, 0, 0, 1, taps, kernel)
                start = row * width + column
                project(
                    grads, at, channels, planes, map_plane, start, width, size, size, grad_kernel
                )
                store(grad_kernel, taps, splat(zero))
                for t in range(0, plane, lanes(kernel)):
                    weights = exp(sub(add(load(kernel, t), load(biases, t)), log_sums))
                    grad_logits = mul(weights, sub(load(grad_kernel, t), inward))
                    store(kernel, t, weights)
                    store(grad_kernel, t, grad_logits)
                    store(grad_biases, t, add(load(grad_biases, t), grad_logits))

                scatter(kernel, grads, at, grad_rows, start * step, width * step, size, step)
                scatter(
                    grad_kernel,
                    queries,
                    at_query,
                    grad_keys_t,
                    0,
                    size * inner_step,
                    size,
                    inner_step,
                )
                gather(
                    grad_kernel,
                    keys_t,
                    0,
                    size * inner_step,
                    size,
                    inner_step,
                    grad_queries,
                    at_query,
                    one,
                )
                if j == width - 1 or offset != window_start(j + 1, width, size) - j + size - 2:
                    first = (n * span + row - i + size - 1) * span + offset
                    for a in range(size):
                        for t in range(a * size, a * size + size):
                            grad_bias[n * taps + t] += grad_biases[t]
                            grad_rpb[first + t - a * size] += grad_biases[t]
                            grad_biases[t] = 0
                        first += span
            unpack(
                grad_queries, grad_query, query_n, query_strides, inner, i, i + 1, width, 0, True
            )

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


@njit(parallel=True, **COMPILE)
def dynamic_conv_forward(kernels, value, strides, out, sizes):
    """`kernels` is contiguous, `out` has the strides of `value`.

    sizes: B, G, C, H, W, K.
    """
    batch, groups, channels, height, width, size = sizes
    taps, step = size * size, padded(channels, value)
    one = value.dtype.type(1)
    for n in prange(batch * groups):
        rows = scratch(height * width * step, value)
        mixed = scratch(width * step, value)
        value_n = n // groups * strides[0] + n % groups * strides[1]
        pack(value, value_n, strides, channels, 0, height, width, rows, 0, width * step)
        for i in range(height):
            row = window_start(i, height, size)
            for j in range(width):
                at = ((n * height + i) * width + j) * taps
                start = (row * width + window_start(j, width, size)) * step
                kernel = kernels[at : at + taps]
                gather(kernel, rows, start, width * step, size, step, mixed, j * step, one)
            unpack(mixed, out, value_n, strides, channels, i, i + 1, width, 0, False)


@njit(parallel=True, **COMPILE)
def dynamic_conv_backward(
    grad_out, grad_strides, kernels, value, strides, grad_kernels, grad_value, sizes
):
    """Gradients of both, in the layouts of `kernels` and `value`."""
    batch, groups, channels, height, width, size = sizes
    taps, step = size * size, padded(channels, value)
    plane = padded(height * width, value) + lanes(value)
    for n in prange(batch * groups):
        planes = scratch(channels * plane, value)
        grad_rows = scratch(height * width * step, value)
        grads = scratch(width * step, value)
        grad_kernel = scratch(taps + lanes(value), value)
        value_n = n // groups * strides[0] + n % groups * strides[1]
        grad_n = n // groups * grad_strides[0] + n % groups * grad_strides[1]
        pack_planes(value, value_n, strides, channels, height, width, plane, planes)
        for i in range(height):
            row = window_start(i, height, size)
            pack(grad_out, grad_n, grad_strides, channels, i, i + 1, width, grads, 0, 0)
            for j in range(width):
                at = ((n * height + i) * width + j) * taps
                start = row * width + window_start(j, width, size)
                project(
                    grads, j * step, channels, planes, plane, start, width, size, size, grad_kernel
                )
                for t in range(taps):
                    grad_kernels[at + t] = grad_kernel[t]
                kernel = kernels[at : at + taps]
                scatter(kernel, grads, j * step, grad_rows, start * step, width * step, size, step)
        unpack(
            grad_rows, grad_value, value_n, strides, channels, 0, height, width, width * step, False
        )
