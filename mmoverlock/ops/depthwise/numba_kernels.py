"""Loops of the depthwise convolution on the CPU.

A vector holds neighbouring channels of one pixel. A thread copies one vector of channels of some
rows into scratch memory, with the zero padding around, and keeps the sums of TILE neighbouring
pixels (or taps, for the weight's gradient) in registers: for every tap it loads one vector of
weights and TILE of pixels, and does TILE multiply-adds.
"""

from __future__ import annotations

from numba import njit

from mmoverlock.ops.numba_maps import COMPILE, TILE, aligned, pack, scratch, tiled, unpack
from mmoverlock.ops.simd import fma_each, lanes, load, repeat, splat, store_each
from mmoverlock.ops.threads import share


@njit(**COMPILE)
def place(item, channels, height, strips, array):
    """What the piece `item` is of a (B, C, H, W) map whose images are cut into strips of rows.

    Returns the number of its vector of channels, its image, its first channel, how many channels,
    its number among the strips of all images, its first row and the one behind its last.
    """
    step = lanes(array)
    blocks = -(-channels // step)
    n, strip = item // strips, item % strips
    b, c = n // blocks, n % blocks * step
    first, last = strip * height // strips, (strip + 1) * height // strips
    return n, b, c, min(step, channels - c), b * strips + strip, first, last


@njit(**COMPILE)
def convolve(padded, line, kernel, bias, size, dilation, height, width, out, add):
    """Convolve rows of one vector of channels; `padded` has lines of `line` elements.

    With `add`, the result is added to what `out` holds.
    """
    step = lanes(padded)
    one = splat(padded.dtype.type(1))
    for i in range(height):
        for j in range(0, width, TILE):
            sums = repeat(load(bias, 0), TILE)
            for a in range(size):
                at = (i + a * dilation) * line + j * step
                for tap in range(a * size, a * size + size):
                    sums = fma_each(sums, padded, at, step, load(kernel, tap * step))
                    at += dilation * step
            to = (i * tiled(width) + j) * step
            if add:
                sums = fma_each(sums, out, to, step, one)
            store_each(out, to, step, sums)


@njit(**COMPILE)
def correlate(padded, line, grads, grads_at, size, dilation, height, width, out):
    """Sum gradient · input over the pixels, for every tap; both have lines of `line` elements."""
    step = lanes(padded)
    one = splat(padded.dtype.type(1))
    for i in range(height):
        for a in range(size):
            for b in range(0, size, TILE):
                sums = repeat(splat(padded.dtype.type(0)), TILE)
                at = (i + a * dilation) * line + b * dilation * step
                grad = grads_at + i * line
                for _ in range(width):
                    sums = fma_each(sums, padded, at, dilation * step, load(grads, grad))
                    at += step
                    grad += step
                row = (a * tiled(size) + b) * step
                store_each(out, row, step, fma_each(sums, out, row, step, one))


@njit(**COMPILE)
def pack_padded(tensor, start, strides, channels, first, last, height, width, halo, padded, line):
    """Rows first - halo to last + halo, with `halo` columns on either side; zeros outside."""
    step = lanes(padded)
    top, bottom = max(first - halo, 0), min(last + halo, height)
    at = (top - first + halo) * line + halo * step
    pack(tensor, start, strides, channels, top, bottom, width, padded, at, line)


@njit(**COMPILE)
def forward_piece(item, x, strides, weight, bias, out, sizes):
    """out (B, C, H, W), with the strides of x; weight (C, K·K) and bias (C) are contiguous.

    sizes: B, C, H, W, K, dilation and into how many strips of rows a map is cut.
    """
    batch, channels, height, width, size, dilation, strips = sizes
    step, halo = lanes(x), dilation * (size // 2)
    _, b, c, count, _, first, last = place(item, channels, height, strips, x)
    line = (tiled(width) + 2 * halo) * step
    padded = scratch((last - first + 2 * halo) * line, x)
    mixed = aligned((last - first) * tiled(width) * step, x)
    kernel = scratch(size * size * step, x)
    biases = scratch(step, x)
    pack_channels(bias, c, count, biases)
    pack_weights(weight, c, count, size * size, kernel)
    start = b * strides[0] + c * strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, halo, padded, line)
    convolve(padded, line, kernel, biases, size, dilation, last - first, width, mixed, False)
    line = tiled(width) * step
    start += first * strides[2]
    unpack(mixed, out, start, strides, count, 0, last - first, width, line, False)


@njit(**COMPILE)
def forward(pieces, threads, *args):
    """:func:`forward_piece` for every piece."""
    share(forward_piece, pieces, threads, args)


@njit(**COMPILE)
def pack_channels(numbers, c, count, out):
    """Numbers of `count` channels from c on."""
    for k in range(count):
        out[k] = numbers[c + k]


@njit(**COMPILE)
def pack_weights(weight, c, count, taps, kernel):
    """The taps of `count` channels from c on, channels innermost."""
    for k in range(count):
        for tap in range(taps):
            kernel[tap * lanes(kernel) + k] = weight[(c + k) * taps + tap]


@njit(**COMPILE)
def pack_flipped(weight, c, count, taps, kernel):
    """The taps likewise, the last first."""
    for k in range(count):
        for tap in range(taps):
            kernel[(taps - 1 - tap) * lanes(kernel) + k] = weight[(c + k) * taps + tap]


@njit(**COMPILE)
def unpack_taps(taps_in, size, c, count, weight):
    """What :func:`correlate` gave for `count` channels from c on, to rows of K·K taps."""
    for k in range(count):
        for a in range(size):
            for b in range(size):
                tap = taps_in[(a * tiled(size) + b) * lanes(taps_in) + k]
                weight[((c + k) * size + a) * size + b] = tap


@njit(**COMPILE)
def overwrite_piece(item, x, strides, weight, bias, sizes):
    """As forward, the result taking the place of x; a map goes through scratch strip by strip.

    The rows around a strip's lower edge are read before the strip is written and kept for the next.
    """
    batch, channels, height, width, size, dilation, rows = sizes
    step, halo = lanes(x), dilation * (size // 2)
    _, b, c, count, _, _, _ = place(item, channels, height, 1, x)
    line = (tiled(width) + 2 * halo) * step
    kept = 2 * halo * line
    padded = scratch(kept + rows * line, x)
    mixed = aligned(rows * tiled(width) * step, x)
    kernel = scratch(size * size * step, x)
    biases = scratch(step, x)
    pack_channels(bias, c, count, biases)
    pack_weights(weight, c, count, size * size, kernel)
    start = b * strides[0] + c * strides[1]
    inset = halo * step
    at = halo * line + inset
    pack(x, start, strides, count, 0, min(halo, height), width, padded, at, line)
    for first in range(0, height, rows):
        last = min(first + rows, height)
        top, bottom = min(first + halo, height), min(last + halo, height)
        pack(x, start, strides, count, top, bottom, width, padded, kept + inset, line)
        padded[kept + (bottom - top) * line :] = 0
        convolve(padded, line, kernel, biases, size, dilation, last - first, width, mixed, False)
        to, flat_line = start + first * strides[2], tiled(width) * step
        unpack(mixed, x, to, strides, count, 0, last - first, width, flat_line, False)
        for k in range(kept):
            padded[k] = padded[rows * line + k]


@njit(**COMPILE)
def overwrite(pieces, threads, *args):
    """:func:`overwrite_piece` for every piece."""
    share(overwrite_piece, pieces, threads, args)


@njit(**COMPILE)
def backward_piece(item, grad_out, grad_strides, x, strides, weight, grad_x, grad_weight, sizes):
    """grad_x with the strides of x; grad_weight (B, strips, C, K·K) is contiguous."""
    batch, channels, height, width, size, dilation, strips = sizes
    step, taps, halo = lanes(x), size * size, dilation * (size // 2)
    _, b, c, count, part, first, last = place(item, channels, height, strips, x)
    rows = last - first
    line = (tiled(width) + 2 * halo) * step
    # The last tile of taps may lie beyond the last row.
    padded = scratch((rows + 2 * halo) * line + TILE * dilation * step, x)
    grads = scratch((rows + 2 * halo) * line, x)
    mixed = aligned(rows * tiled(width) * step, x)
    kernel = scratch(taps * step, x)
    grad_kernel = scratch(size * tiled(size) * step, x)
    zeros = scratch(step, x)
    pack_flipped(weight, c, count, taps, kernel)
    start = b * strides[0] + c * strides[1]
    grad_start = b * grad_strides[0] + c * grad_strides[1]
    pack_padded(x, start, strides, count, first, last, height, width, halo, padded, line)
    pack_padded(
        grad_out, grad_start, grad_strides, count, first, last, height, width, halo, grads, line
    )
    convolve(grads, line, kernel, zeros, size, dilation, rows, width, mixed, False)
    middle = halo * line + halo * step
    correlate(padded, line, grads, middle, size, dilation, rows, width, grad_kernel)
    line = tiled(width) * step
    start += first * strides[2]
    unpack(mixed, grad_x, start, strides, count, 0, rows, width, line, False)
    unpack_taps(grad_kernel, size, c, count, grad_weight[part * channels * taps :])


@njit(**COMPILE)
def backward(pieces, threads, *args):
    """:func:`backward_piece` for every piece."""
    share(backward_piece, pieces, threads, args)
