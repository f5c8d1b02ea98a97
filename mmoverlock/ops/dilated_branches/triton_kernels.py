"""Triton kernels of branches and their batch norms in training; triton_gpu.py launches them.

x, out and their gradients are (B, C, H, W), in one layout; `maps` are those of the N branches, one
after the other, each laid out like x. Tiles are (pixels, channels), as in the depthwise
convolution. Sums are in `ACC`.

`branches` (N, 3) says of each branch K, its dilation, and which tap is its first; `table` (T, 3) of
each tap its branch, and how far down and right of a pixel it looks. Sums over pixels are done in
parts, a program for each; there are no atomics: results do not vary from run to run.
"""

import triton
import triton.language as tl

from mmoverlock.ops._triton.kernels import tuned

TILE = 'PIXELS', 'CHANNELS'
TILES = [(128, 1, 2), (256, 1, 4), (64, 8, 4), (16, 32, 4), (8, 64, 4)]
KEY = ['TAPS', 'LAST']
TUNED = tuned(TILE, TILES, (64, 16), KEY)
SPILLING = {
    ('sm_75', 'float32'): [(128, 1, 2), (256, 1, 4)],
    ('sm_75', 'float16'): [(128, 1, 2), (256, 1, 4)],
    ('sm_75', 'bfloat16'): [(128, 1, 2), (256, 1, 4)],
    ('sm_80', 'float32'): [(16, 32, 4), (8, 64, 4)],
    ('sm_80', 'float16'): [(64, 8, 4), (16, 32, 4)],
    ('sm_80', 'bfloat16'): [(64, 8, 4), (16, 32, 4)],
    ('sm_90', 'float32'): [(64, 8, 4)],
}
FORWARD = tuned(TILE, TILES, (64, 16), KEY, SPILLING)
STREAMS = [(256, 1, 4), (8, 64, 4)]
STREAMED = tuned(TILE, STREAMS, (64, 16), ['BRANCHES', 'LAST'])
NORMALIZED = tuned(
    TILE, STREAMS, (64, 16), ['BRANCHES', 'LAST'], {('sm_75', 'bfloat16'): [(8, 64, 4)]}
)


@triton.jit
def channels_of_program(channels, CHANNELS: tl.constexpr):
    """The channels of this program (CHANNELS,), and which there are."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return channel, channel < channels


@triton.jit
def of_channels(numbers, channel, exists):
    """Of (C,), those of this program's channels, (1, CHANNELS)."""
    return tl.load(numbers + channel, mask=exists, other=0.0)[None, :]


@triton.jit
def range_of_part(part, parts, count):
    """The pixels of one of so many parts of all: the first, and the first of the next."""
    size = tl.cdiv(count, parts)
    first = tl.minimum(part * size, count)
    return first, tl.minimum(first + size, count)


@triton.jit
def places(pixel, height, width, stride_b, stride_h, stride_w):
    """Where the pixels, counted over the batch, lie; their rows and columns."""
    area = height * width
    i, j = pixel % area // width, pixel % width
    at = (pixel // area).to(tl.int64) * stride_b + i * stride_h + j * stride_w
    return at, i, j


@triton.jit
def add_convolution(
    sums,  # (PIXELS, CHANNELS)
    x,
    weight,  # (K², C)
    size,
    dilation,
    at,
    i,
    j,
    inside,
    channel,
    exists,
    channels,
    height,
    width,
    stride_c,
    stride_h,
    stride_w,
    ACC: tl.constexpr,
):
    """Add a map's convolution with one branch."""
    half = size // 2
    for a in range(size):
        down = (a - half) * dilation
        row_inside = inside & (i + down >= 0) & (i + down < height)
        for b in range(size):
            right = (b - half) * dilation
            mask = (row_inside & (j + right >= 0) & (j + right < width))[:, None] & exists[None, :]
            there = (at + down * stride_h + right * stride_w)[:, None]
            value = tl.load(x + there + (channel * stride_c)[None, :], mask=mask, other=0.0)
            tap = of_channels(weight + (a * size + b) * channels, channel, exists)
            sums += value.to(ACC) * tap.to(ACC)
    return sums


@FORWARD
@triton.jit
def convolve_branches(
    x,
    weight,  # (T, C)
    branches,
    maps,
    means,  # (parts, N, C)
    deviations,  # the same: sums of squared deviations from the mean
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    parts,
    TAPS: tl.constexpr,
    BRANCHES: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does one branch of some channels over one part of the pixels, largest first."""
    branch, part = tl.program_id(0) // parts, tl.program_id(0) % parts
    size, dilation = tl.load(branches + 3 * branch), tl.load(branches + 3 * branch + 1)
    weight += tl.load(branches + 3 * branch + 2) * channels
    channel, exists = channels_of_program(channels, CHANNELS)
    first, last = range_of_part(part, parts, batch * height * width)
    maps += branch.to(tl.int64) * stride_n
    mean = tl.zeros((CHANNELS,), ACC)
    deviation = tl.zeros((CHANNELS,), ACC)
    for start in range(first, last, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        inside = pixel < last
        at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
        sums = add_convolution(
            tl.zeros((PIXELS, CHANNELS), ACC), x, weight, size, dilation, at, i, j, inside, channel,
            exists, channels, height, width, stride_c, stride_h, stride_w, ACC,
        )  # fmt: skip
        mask = inside[:, None] & exists[None, :]
        rounded = sums.to(maps.dtype.element_ty)
        tl.store(maps + at[:, None] + (channel * stride_c)[None, :], rounded, mask=mask)
        # Two means and sums of squares make one (Chan et al., 1979): no large numbers cancel.
        value = rounded.to(ACC)
        number = tl.minimum(last - start, PIXELS).to(ACC)
        share = number / ((start - first).to(ACC) + number)
        center = tl.sum(tl.where(mask, value, 0.0), 0) / number
        apart = tl.where(mask, value - center[None, :], 0.0)
        gap = center - mean
        deviation += tl.sum(apart * apart, 0) + gap * gap * number * (1 - share)
        mean += gap * share
    to = (part * BRANCHES + branch) * channels + channel
    tl.store(means + to, mean, mask=exists)
    tl.store(deviations + to, deviation, mask=exists)


@NORMALIZED
@triton.jit
def add_normalized(
    maps,
    mean,  # (N, C)
    scale,  # (N, C)
    shift,  # (C)
    out,
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    BRANCHES: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """out = shift + Σ_k scale_k · (map_k - mean_k)"""
    channel, exists = channels_of_program(channels, CHANNELS)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
    there = at[:, None] + (channel * stride_c)[None, :]
    mask = (pixel < batch * height * width)[:, None] & exists[None, :]
    total = tl.zeros((PIXELS, CHANNELS), ACC) + of_channels(shift, channel, exists)
    for k in tl.static_range(BRANCHES):
        value = tl.load(maps + there, mask=mask, other=0.0).to(ACC)
        centered = value - of_channels(mean + k * channels, channel, exists)
        total += of_channels(scale + k * channels, channel, exists) * centered
        maps += stride_n
    tl.store(out + there, total.to(out.dtype.element_ty), mask=mask)


@STREAMED
@triton.jit
def sum_gradient(
    grad_out,
    maps,
    mean,  # (N, C)
    sums,  # (parts, N, C): of the gradient
    products,  # the same: of the gradient and (map - mean)
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    parts,
    BRANCHES: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does one branch of some channels over one part of the pixels."""
    part, branch = tl.program_id(0) // BRANCHES, tl.program_id(0) % BRANCHES
    channel, exists = channels_of_program(channels, CHANNELS)
    first, last = range_of_part(part, parts, batch * height * width)
    maps += branch.to(tl.int64) * stride_n
    center = of_channels(mean + branch * channels, channel, exists)
    total = tl.zeros((CHANNELS,), ACC)
    product = tl.zeros((CHANNELS,), ACC)
    for start in range(first, last, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
        there = at[:, None] + (channel * stride_c)[None, :]
        mask = (pixel < last)[:, None] & exists[None, :]
        grad = tl.load(grad_out + there, mask=mask, other=0.0).to(ACC)
        value = tl.load(maps + there, mask=mask, other=0.0).to(ACC)
        total += tl.sum(grad, 0)
        product += tl.sum(grad * (value - center), 0)
    to = (part * BRANCHES + branch) * channels + channel
    tl.store(sums + to, total, mask=exists)
    tl.store(products + to, product, mask=exists)


@STREAMED
@triton.jit
def gradients_of_maps(
    grad_out,
    maps,
    mean,  # (N, C)
    factor,  # (N, C)
    pull,  # (N, C)
    offset,  # (N, C)
    grad_maps,  # like maps
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    BRANCHES: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Of map k: factor_k · grad_out + pull_k · (map_k - mean_k) + offset_k"""
    channel, exists = channels_of_program(channels, CHANNELS)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
    there = at[:, None] + (channel * stride_c)[None, :]
    mask = (pixel < batch * height * width)[:, None] & exists[None, :]
    grad = tl.load(grad_out + there, mask=mask, other=0.0).to(ACC)
    for k in tl.static_range(BRANCHES):
        value = tl.load(maps + there, mask=mask, other=0.0).to(ACC)
        centered = value - of_channels(mean + k * channels, channel, exists)
        result = of_channels(factor + k * channels, channel, exists) * grad
        result += of_channels(pull + k * channels, channel, exists) * centered
        result += of_channels(offset + k * channels, channel, exists)
        tl.store(grad_maps + there, result.to(grad_maps.dtype.element_ty), mask=mask)
        maps += stride_n
        grad_maps += stride_n


@TUNED
@triton.jit
def convolve_back(
    grad_maps,
    weight,  # (T, C), the taps of each branch in reverse order
    branches,
    grad_x,
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    TAPS: tl.constexpr,
    BRANCHES: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does some pixels and channels of grad_x, over all branches."""
    channel, exists = channels_of_program(channels, CHANNELS)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = pixel < batch * height * width
    at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
    sums = tl.zeros((PIXELS, CHANNELS), ACC)
    for branch in range(BRANCHES):
        size, dilation = tl.load(branches + 3 * branch), tl.load(branches + 3 * branch + 1)
        taps = weight + tl.load(branches + 3 * branch + 2) * channels
        sums = add_convolution(
            sums, grad_maps, taps, size, dilation, at, i, j, inside, channel, exists,
            channels, height, width, stride_c, stride_h, stride_w, ACC,
        )  # fmt: skip
        grad_maps += stride_n
    mask = inside[:, None] & exists[None, :]
    to = at[:, None] + (channel * stride_c)[None, :]
    tl.store(grad_x + to, sums.to(grad_x.dtype.element_ty), mask=mask)


@TUNED
@triton.jit
def correlate_branches(
    x,
    grad_maps,
    table,
    grad_weight,  # (parts, T, C)
    batch,
    channels,
    height,
    width,
    stride_n,
    stride_b,
    stride_c,
    stride_h,
    stride_w,
    parts,
    TAPS: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A program does one tap of some channels over one part of the pixels."""
    part, tap = tl.program_id(0) // TAPS, tl.program_id(0) % TAPS
    branch = tl.load(table + 3 * tap)
    down, right = tl.load(table + 3 * tap + 1), tl.load(table + 3 * tap + 2)
    channel, exists = channels_of_program(channels, CHANNELS)
    first, last = range_of_part(part, parts, batch * height * width)
    grad_maps += branch.to(tl.int64) * stride_n
    sums = tl.zeros((PIXELS, CHANNELS), ACC)
    for start in range(first, last, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        at, i, j = places(pixel, height, width, stride_b, stride_h, stride_w)
        y, z = i + down, j + right
        inside = (pixel < last) & (y >= 0) & (y < height) & (z >= 0) & (z < width)
        mask = inside[:, None] & exists[None, :]
        there = at[:, None] + (channel * stride_c)[None, :]
        grad = tl.load(grad_maps + there, mask=mask, other=0.0).to(ACC)
        there += down * stride_h + right * stride_w
        value = tl.load(x + there, mask=mask, other=0.0).to(ACC)
        sums += value * grad
    to = (part * TAPS + tap) * channels + channel
    tl.store(grad_weight + to, tl.sum(sums, 0), mask=exists)
