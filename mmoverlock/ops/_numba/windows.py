"""Loops over the windows of a row of pixels, which dynamic convolution and ContMix share.

They go pixel by pixel, or take TILE neighbours at once where the border makes them share a window:

- project: a pixel's channels against the taps of its window (gradient of the kernel),
- gather: sum taps, each a row of channels (output),
- scatter: add a pixel's channels to taps, each a row of channels (gradient of value).

What they read and write is scratch memory, padded to whole vectors and tiles.
"""

from .compile import jit
from .layout import TILE, padded, tiled
from .simd import (
    add,
    fma,
    fma_each,
    fma_splats,
    fma_sum,
    lanes,
    load,
    repeat,
    splat,
    store,
    store_each,
)


@jit
def window_start(i, length, size):
    """First row or column of the window of pixel i: NATTEN's rule."""
    return min(max(i - size // 2, 0), length - size)


@jit
def count_sharing(j, width, size):
    """How many pixels of a row are taken at once from pixel j on: TILE, if they share a window."""
    last = j + TILE - 1
    alike = last < width and window_start(last, width, size) == window_start(j, width, size)
    return TILE if alike else 1


@jit
def row_pitch(size, array):
    """Elements between the taps of neighbouring pixels: some are written behind a pixel's taps."""
    return padded(tiled(size) * size + lanes(array), array)


@jit
def project(pixels, step, channels, planes, plane, row, width, size, out):
    """out[j, a, b] = Σ_c pixels[j, c] · planes[c, row + a, start(j) + b]

    Vectors reach beyond a row of taps; the next row, stored later, overwrites what is too much.
    """
    line, zero = row_pitch(size, out), splat(out.dtype.type(0))
    j = 0
    while j < width:
        start, number = row * width + window_start(j, width, size), count_sharing(j, width, size)
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


@jit
def gather(kernels, line, rows, row, width, size, step, out):
    """out[j, c] = Σ_{a, b} kernels[j, a, b] · rows[row + a, start(j) + b, c]

    For a pixel alone, four sums are kept, to hide the latency of an addition.
    """
    zero, stride = splat(out.dtype.type(0)), width * step
    j = 0
    while j < width:
        start = row * stride + window_start(j, width, size) * step
        number = count_sharing(j, width, size)
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


@jit
def scatter(kernels, line, pixels, width, size, step, rows, row):
    """rows[row + a, start(j) + b, c] += kernels[j, a, b] · pixels[j, c]"""
    zero, one, stride = splat(rows.dtype.type(0)), splat(rows.dtype.type(1)), width * step
    j = 0
    while j < width:
        start = row * stride + window_start(j, width, size) * step
        number = count_sharing(j, width, size)
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


@jit
def pack_planes(tensor, channels, height, width, plane, planes):
    """A (C, H, W) map → planes of H·W, `plane` elements apart."""
    data, strides = tensor
    for i in range(height):
        for c in range(channels):
            for j in range(width):
                at = i * strides[-2] + c * strides[-3] + j * strides[-1]
                planes[c * plane + i * width + j] = data[at]
