"""Loops of the depthwise convolution on the CPU.

A vector holds neighbouring channels of one pixel. A thread copies one vector of channels of some
rows into scratch memory, with the zero padding around, and keeps the sums of TILE neighbouring
pixels (or taps, for the weight's gradient) in registers: for every tap it loads one vector of
weights and TILE of pixels, and does TILE multiply-adds.
"""

from __future__ import annotations

from numba import njit, prange

from mmoverlock.ops.numba_maps import COMPILE, aligned, pack, scratch, unpack
from mmoverlock.ops.simd import fma_each, lanes, load, repeat, splat, store_each

TILE = 7  # divides the width of every map of a 224² image


@njit(**COMPILE)
def tiled(count):
    """`count` rounded up to whole tiles."""
    return -(-count // TILE) * TILE


@njit(**COMPILE)
def convolve(padded, line, kernel, bias, size, dilation, height, width, out):
    """Convolve rows of one vector of channels; `padded` has lines of `line` elements."""
    step = lanes(padded)
    for i in range(height):
        for j in range(0, width, TILE):
            sums = repeat(load(bias, 0), TILE)
            for a in range(size):
                at = (i + a * dilation) * line + j * step
                for tap in range(a * size, a * size + size):
                    sums = fma_each(sums, padded, at, step, load(kernel, tap * step))
                    at += dilation * step
            store_each(out, (i * tiled(width) + j) * step, step, sums)


@njit(**COMPILE)
def correlate(padded, line, grads, grads_at, size, dilation, height, width, out):
    """Sum gradient · input over the pixels, for every tap; both have lines of `line` elements."""
    step = lanes(padded)
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
                one = splat(padded.dtype.type(1))
                store_each(out, row, step, fma_each(sums, out, row, step, one))


@njit(**COMPILE)
def pack_padded(tensor, start, strides, channels, first, last, height, width, halo, padded, line):
    """Rows first - halo to last + halo, with `halo` columns on either side; zeros outside."""
    step = lanes(padded)
    top, bottom = max(first - halo, 0), min(last + halo, height)
    at = (top - first + halo) * line + halo * step
    pack(tensor, start, strides, channels, top, bottom, width, padded, at, line)


@njit(parallel=True, **COMPILE)
def forward(x, strides, weight, bias, out, sizes):
    """out (B, C, H, W), with the strides of x; weight (C, K·K) and bias (C) are contiguous.

    sizes: B, C, H, W, K, dilation and into how many strips of rows a map is cut.
    """
    batch, channels, height, width, size, dilation, strips = sizes
    step = lanes(x)
    blocks = -(-channels // step)
    halo = dilation * (size // 2)
    for item in prange(batch * blocks * strips):
        n, strip = item // strips, item % strips
        b, c = n // blocks, n % blocks * step
        count = min(step, channels - c)
        first, last = strip * height // strips, (strip + 1) * height // strips
        line = (tiled(width) + 2 * halo) * step
        padded = scratch((last - first + 2 * halo) * line, x)
        mixed = aligned((last - first) * tiled(width) * step, x)
        kernel = scratch(size * size * step, x)
        biases = scratch(step, x)
        pack_weights(weight, bias, c, count, size * size, kernel, biases)
        start = b * strides[0] + c * strides[1]
        pack_padded(x, start, strides, count, first, last, height, width, halo, padded, line)
        convolve(padded, line, kernel, biases, size, dilation, last - first, width, mixed)
        line = tiled(width) * step
        start += first * strides[2]
        unpack(mixed, out, start, strides, count, 0, last - first, width, line, False)


@njit(**COMPILE)
def pack_weights(weight, bias, c, count, taps, kernel, biases):
    """The taps and biases of `count` channels from c on, channels innermost."""
    for k in range(count):
        biases[k] = bias[c + k]
        for tap in range(taps):
            kernel[tap * lanes(kernel) + k] = weight[(c + k) * taps + tap]


@njit(parallel=True, **COMPILE)
def overwrite(x, strides, weight, bias, sizes):
    """As forward, the result taking the place of x; a map goes through scratch strip by strip.

    The rows around a strip's lower edge are read before the strip is written and kept for the next.
    """
    batch, channels, height, width, size, dilation, rows = sizes
    step = lanes(x)
    blocks = -(-channels // step)
    halo = dilation * (size // 2)
    for item in prange(batch * blocks):
        b, c = item // blocks, item % blocks * step
        count = min(step, channels - c)
        line = (tiled(width) + 2 * halo) * step
        kept = 2 * halo * line
        padded = scratch(kept + rows * line, x)
        mixed = aligned(rows * tiled(width) * step, x)
        kernel = scratch(size * size * step, x)
        biases = scratch(step, x)
        pack_weights(weight, bias, c, count, size * size, kernel, biases)
        start = b * strides[0] + c * strides[1]
        inset = halo * step
        at = halo * line + inset
        pack(x, start, strides, count, 0, min(halo, height), width, padded, at, line)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            top, bottom = min(first + halo, height), min(last + halo, height)
            pack(x, start, strides, count, top, bottom, width, padded, kept + inset, line)
            padded[kept + (bottom - top) * line :] = 0
            convolve(padded, line, kernel, biases, size, dilation, last - first, width, mixed)
            to, flat_line = start + first * strides[2], tiled(width) * step
            unpack(mixed, x, to, strides, count, 0, last - first, width, flat_line, False)
            for k in range(kept):
                padded[k] = padded[rows * line + k]


@njit(parallel=True, **COMPILE)
def backward(grad_out, grad_strides, x, strides, weight, grad_x, grad_weight, sizes):
    """grad_x with the strides of x; grad_weight (B, strips, C, K·K) is contiguous."""
    batch, channels, height, width, size, dilation, strips = sizes
    step, taps = lanes(x), size * size
    blocks = -(-channels // step)
    halo = dilation * (size // 2)
    for item in prange(batch * blocks * strips):
        n, strip = item // strips, item % strips
        b, c = n // blocks, n % blocks * step
        count = min(step, channels - c)
        first, last = strip * height // strips, (strip + 1) * height // strips
        rows = last - first
        line = (tiled(width) + 2 * halo) * step
        # The last tile of taps may lie beyond the last row.
        padded = scratch((rows + 2 * halo) * line + TILE * dilation * step, x)
        grads = scratch((rows + 2 * halo) * line, x)
        mixed = aligned(rows * tiled(width) * step, x)
        kernel = scratch(taps * step, x)
        grad_kernel = scratch(size * tiled(size) * step, x)
        zeros = scratch(step, x)
        for k in range(count):
            for tap in range(taps):
                kernel[(taps - 1 - tap) * step + k] = weight[(c + k) * taps + tap]
        start = b * strides[0] + c * strides[1]
        grad_start = b * grad_strides[0] + c * grad_strides[1]
        pack_padded(x, start, strides, count, first, last, height, width, halo, padded, line)
        pack_padded(
            grad_out, grad_start, grad_strides, count, first, last, height, width, halo, grads, line
        )
        convolve(grads, line, kernel, zeros, size, dilation, rows, width, mixed)
        middle = halo * line + halo * step
        correlate(padded, line, grads, middle, size, dilation, rows, width, grad_kernel)
        line = tiled(width) * step
        start += first * strides[2]
        unpack(mixed, grad_x, start, strides, count, 0, rows, width, line, False)
        for k in range(count):
            for tap in range(taps):
                at = tap // size * tiled(size) + tap % size
                to = ((b * strips + strip) * channels + c + k) * taps + tap
                grad_weight[to] = grad_kernel[at * step + k]
