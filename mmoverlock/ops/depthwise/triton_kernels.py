"""Triton kernels of the depthwise convolution; triton_gpu.py launches them.

A tile is (pixels, channels). Maps of any strides are taken; which of the two axes lies side by side
in memory decides the shape of the fastest tile, so `LAST` (channels innermost) is tuned for. Sums
are in `ACC`.
"""

import triton
import triton.language as tl

from mmoverlock.ops._triton.kernels import tuned

TUNED = tuned(
    ('PIXELS', 'CHANNELS'),
    [(128, 1, 2), (256, 1, 4), (64, 8, 4), (16, 32, 4), (8, 64, 4)],
    (64, 8),
    ['K', 'DILATION', 'LAST'],
)


@TUNED
@triton.jit
def convolve(
    x,  # (B, C, H, W)
    weight,  # (K², C), contiguous
    bias,  # (C)
    out,  # like x
    channels,
    height,
    width,
    stride_b,  # of x and out
    stride_c,
    stride_h,
    stride_w,
    K: tl.constexpr,
    DILATION: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does some pixels and channels of one image."""
    image = tl.program_id(2).to(tl.int64) * stride_b
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    i, j = pixel // width, pixel % width
    inside = pixel < height * width
    sums = tl.zeros((PIXELS, CHANNELS), ACC)
    sums += tl.load(bias + channel, mask=exists, other=0.0).to(ACC)[None, :]
    x += image
    for a in range(K):
        y = i + (a - K // 2) * DILATION
        row_inside = inside & (y >= 0) & (y < height)
        for b in range(K):
            z = j + (b - K // 2) * DILATION
            mask = (row_inside & (z >= 0) & (z < width))[:, None] & exists[None, :]
            at = (y * stride_h + z * stride_w)[:, None] + (channel * stride_c)[None, :]
            tap = tl.load(weight + (a * K + b) * channels + channel, mask=exists, other=0.0)
            sums += tl.load(x + at, mask=mask, other=0.0).to(ACC) * tap.to(ACC)[None, :]
    at = (i * stride_h + j * stride_w)[:, None] + (channel * stride_c)[None, :]
    mask = inside[:, None] & exists[None, :]
    tl.store(out + image + at, sums.to(out.dtype.element_ty), mask=mask)


@TUNED
@triton.jit
def correlate(
    x,  # (B, C, H, W)
    grad_out,  # (B, C, H, W)
    grad_weight,  # (parts, K², C), contiguous
    batch,
    channels,
    height,
    width,
    stride_b,  # of x
    stride_c,
    stride_h,
    stride_w,
    grad_b,  # of grad_out
    grad_c,
    grad_h,
    grad_w,
    parts,
    K: tl.constexpr,
    DILATION: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does one tap of some channels, over one of `parts` of all pixels."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    tap, part = tl.program_id(0) % (K * K), tl.program_id(0) // (K * K)
    down = (tap // K - K // 2) * DILATION
    right = (tap % K - K // 2) * DILATION
    area = height * width
    size = tl.cdiv(batch * area, parts)
    first = part * size
    last = tl.minimum(first + size, batch * area)
    sums = tl.zeros((PIXELS, CHANNELS), ACC)
    for start in range(first, last, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        image = (pixel // area).to(tl.int64)
        i, j = pixel % area // width, pixel % width
        y, z = i + down, j + right
        inside = (pixel < last) & (y >= 0) & (y < height) & (z >= 0) & (z < width)
        mask = inside[:, None] & exists[None, :]
        at = (image * stride_b + y * stride_h + z * stride_w)[:, None]
        grad_at = (image * grad_b + i * grad_h + j * grad_w)[:, None]
        value = tl.load(x + at + (channel * stride_c)[None, :], mask=mask, other=0.0)
        grad = tl.load(grad_out + grad_at + (channel * grad_c)[None, :], mask=mask, other=0.0)
        sums += value.to(ACC) * grad.to(ACC)
    at = (part * K * K + tap) * channels + channel
    tl.store(grad_weight + at, tl.sum(sums, 0), mask=exists)
