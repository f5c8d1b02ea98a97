"""Scratch memory of the numba kernels, and the way of a map into it and out of it.

A map is (flat memory, strides), its last three axes (C, H, W). It becomes rows of pixels whose
channels lie side by side, padded to whole vectors, so that a vector holds neighbouring channels of
one pixel.
"""

import numpy as np

from .compile import jit
from .simd import lanes, load, prefetch, store

AHEAD = 24  # pixels between the one that is read and the one that is asked for
TILE = 7  # pixels or taps whose sums are kept in registers; divides every width in a 224² image


@jit
def tiled(count):
    """`count` rounded up to whole tiles."""
    return -(-count // TILE) * TILE


@jit
def padded(count, array):
    """`count` rounded up to whole vectors of the dtype of `array`."""
    return -(-count // lanes(array)) * lanes(array)


@jit
def aligned(count, array):
    """Memory of the dtype of `array`, aligned to vectors: a load then touches one cache line."""
    space = np.empty(count + lanes(array), array.dtype)
    skip = -(space.ctypes.data // array.itemsize) % lanes(array)
    return space[skip : skip + count]


@jit
def scratch(count, array):
    """Zeros, aligned likewise."""
    space = aligned(count, array)
    space[:] = 0
    return space


@jit
def load_pixel(tensor, at, column):
    """The vector at `at`; the one AHEAD pixels on, each `column` elements wide, is asked for.

    Of a pixel's many channels a thread takes one vector. The hardware expects no such strides.
    """
    prefetch(tensor, at + AHEAD * column)
    return load(tensor, at)


@jit
def part(tensor, *index):
    """The map from the element at `index` of its first axes on.

    It counts references, which threads wait for: not for an inner loop.
    """
    data, strides = tensor
    start = 0
    for k in range(len(index)):
        start += index[k] * strides[k]
    return data[start:], strides


@jit
def pack(tensor, channels, top, bottom, width, rows, first, line):
    """Copy rows top to bottom of a map to pixels of `rows`.

    The first pixel goes to `first`, the next row `line` elements behind it.
    """
    data, strides = tensor
    step = padded(channels, rows)
    for i in range(top, bottom):
        to, at = first + (i - top) * line, i * strides[-2]
        if strides[-3] == 1 and channels == lanes(rows):
            for j in range(width):
                store(rows, to + j * step, load(data, at + j * strides[-1]))
        elif strides[-1] < strides[-3]:
            for c in range(channels):
                for j in range(width):
                    rows[to + j * step + c] = data[at + c * strides[-3] + j * strides[-1]]
        else:
            for j in range(width):
                for c in range(channels):
                    rows[to + j * step + c] = data[at + c * strides[-3] + j * strides[-1]]


@jit
def unpack(rows, tensor, channels, top, bottom, width, line, add=False):
    """The reverse, from the first of `rows` on; with `add`, add the pixels to the map."""
    data, strides = tensor
    step = padded(channels, rows)
    for i in range(top, bottom):
        row, to = (i - top) * line, i * strides[-2]
        if strides[-3] == 1 and channels == lanes(rows) and not add:
            for j in range(width):
                store(data, to + j * strides[-1], load(rows, row + j * step))
        elif strides[-1] < strides[-3]:
            for c in range(channels):
                for j in range(width):
                    at = to + c * strides[-3] + j * strides[-1]
                    number = rows[row + j * step + c]
                    data[at] = data[at] + number if add else number
        else:
            for j in range(width):
                for c in range(channels):
                    at = to + c * strides[-3] + j * strides[-1]
                    number = rows[row + j * step + c]
                    data[at] = data[at] + number if add else number


@jit
def pixel_view(tensor, channels, top, bottom, width):
    """Where rows top to bottom of a map have their pixels, each a vector of channels.

    Returns an array, where the first pixel is in it, and how far from each other rows and columns
    are. The array is the tensor, if channels lie side by side and fill a vector; otherwise a copy.
    """
    data, strides = tensor
    step = lanes(data)
    if strides[-3] == 1 and channels == step:
        return data, top * strides[-2], strides[-2], strides[-1]
    rows = scratch((bottom - top) * width * step, data)
    pack(tensor, channels, top, bottom, width, rows, 0, width * step)
    return rows, 0, width * step, step


@jit
def to_vectors(numbers, like):
    """Numbers of channels, (B, N, C), as (B, vectors of channels, N, lanes), flat, in like's dtype.

    The last vector is filled up with zeros.
    """
    (batch, number, channels), step = numbers.shape, lanes(like)
    vectors = scratch(batch * padded(channels, like) * number, like)
    for b in range(batch):
        for c in range(0, channels, step):
            first = (b * padded(channels, like) + c) * number
            for lane in range(min(step, channels - c)):
                for n in range(number):
                    vectors[first + n * step + lane] = numbers[b, n, c + lane]
    return vectors


@jit
def add_up(parts, out):
    """Sums of parts (N, M) over N, to out (M). numba takes seconds to compile ``parts.sum(0)``."""
    for m in range(len(out)):
        total = 0.0
        for n in range(len(parts)):
            total += parts[n, m]
        out[m] = total


@jit
def sum_strips(sums, batch, strips, number, channels):
    """Sums of strips, (B, vectors of channels, strips, N, lanes), flat, as (B, N, C) in float64."""
    step, out = lanes(sums), np.zeros((batch, number, channels))
    for b in range(batch):
        for c in range(0, channels, step):
            first = (b * padded(channels, sums) + c) * strips * number
            for strip in range(strips):
                for n in range(number):
                    at = first + (strip * number + n) * step
                    for lane in range(min(step, channels - c)):
                        out[b, n, c + lane] += sums[at + lane]
    return out
