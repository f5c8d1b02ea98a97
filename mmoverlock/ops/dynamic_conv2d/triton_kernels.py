"""Triton kernels of the dynamic convolution alone; triton_gpu.py launches them.

Maps and tiles are as in contmix/triton_kernels.py, but that channels are innermost in memory: there
neighbouring threads read neighbouring channels.
"""

import triton
import triton.language as tl

from mmoverlock.ops._triton.kernels import (
    channels_at,
    reached_pixels,
    tile_of_pixels,
    tuned,
    window_start,
)

# Several threads for each pixel, as channels are side by side.
TILES = [(16, 1), (32, 2), (64, 4), (64, 2)]
KEY = ['K', 'VALUE']
PIXELS = tuned(('BLOCK',), TILES, (512,), KEY)
SPILLING = {('sm_100', 'float16'): [(64, 2)], ('sm_100', 'bfloat16'): [(64, 2)]}
FORWARD = tuned(('BLOCK',), TILES, (512,), KEY, SPILLING)


@FORWARD
@triton.jit
def conv_forward(
    kernels,  # (B, G, H, W, K²)
    value,  # (B, G, H, W, VALUE)
    out,  # like value
    height,
    width,
    K: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every pixel sums the values in its window."""
    n, pixel, i, j = tile_of_pixels(height, width, BLOCK)
    plane = n * height * width
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at((top * width + left) * VALUE, 1, VALUE, VALUE_PAD)
    kernels += plane * K * K
    mixed = tl.zeros((BLOCK, VALUE_PAD), ACC)
    for a in range(K):
        value_row = value + (plane + a * width) * VALUE
        for b in range(K):
            weight = tl.load(kernels + a * K + b + pixel * K * K).to(ACC)
            v = tl.load(value_row + b * VALUE + at, mask=real, other=0.0).to(ACC)
            mixed += weight[:, None] * v
    at, real = channels_at(pixel * VALUE, 1, VALUE, VALUE_PAD)
    tl.store(out + plane * VALUE + at, mixed.to(out.dtype.element_ty), mask=real)


@PIXELS
@triton.jit
def conv_grad_kernels(
    value,
    grad_out,  # like value
    grad_kernels,  # like kernels
    height,
    width,
    K: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every tap is the product of the pixel's gradient and a value in its window."""
    n, pixel, i, j = tile_of_pixels(height, width, BLOCK)
    plane = n * height * width
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at(pixel * VALUE, 1, VALUE, VALUE_PAD)
    g = tl.load(grad_out + plane * VALUE + at, mask=real, other=0.0).to(ACC)
    at, real = channels_at((top * width + left) * VALUE, 1, VALUE, VALUE_PAD)
    grad_kernels += plane * K * K
    for a in range(K):
        value_row = value + (plane + a * width) * VALUE
        for b in range(K):
            v = tl.load(value_row + b * VALUE + at, mask=real, other=0.0).to(ACC)
            grad = tl.sum(g * v, 1).to(grad_kernels.dtype.element_ty)
            tl.store(grad_kernels + a * K + b + pixel * K * K, grad)


@PIXELS
@triton.jit
def conv_grad_value(
    kernels,
    grad_out,
    grad_value,  # like value
    height,
    width,
    K: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every position gathers from the pixels whose windows hold it."""
    n, place, y, x = tile_of_pixels(height, width, BLOCK)
    plane = n * height * width
    kernels += plane * K * K
    grad_out += plane * VALUE
    top, bottom = reached_pixels(y, height, K)
    left, right = reached_pixels(x, width, K)
    channel = tl.arange(0, VALUE_PAD)[None, :]
    grad = tl.zeros((BLOCK, VALUE_PAD), ACC)
    for row in range(tl.max(bottom - top, 0) + 1):
        i = tl.minimum(top + row, bottom)
        for column in range(tl.max(right - left, 0) + 1):
            j = tl.minimum(left + column, right)
            reached = (top + row <= bottom) & (left + column <= right)
            pixel = i * width + j
            window_top, window_left = window_start(i, j, height, width, K)
            tap = (y - window_top) * K + x - window_left
            weight = tl.load(kernels + pixel * K * K + tap, mask=reached, other=0.0).to(ACC)
            g_at = (grad_out + pixel * VALUE)[:, None] + channel
            grad += weight[:, None] * tl.load(g_at, mask=channel < VALUE, other=0.0).to(ACC)
    at, real = channels_at(place * VALUE, 1, VALUE, VALUE_PAD)
    tl.store(grad_value + plane * VALUE + at, grad.to(grad_value.dtype.element_ty), mask=real)
