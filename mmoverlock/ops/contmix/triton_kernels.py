"""Triton kernels of ContMix; triton_gpu.py launches them.

A map is what one group of one image sees: the leading axes (B, G) flattened, n = b·G + g. All
tensors are contiguous; of a tensor with two halves, (B, 2, G, ...), a kernel gets the view of one
half, where map n is plane n + b·G. Tiles are (lanes, channels), channels padded to a power of two
(`*_PAD`): as the addresses are consecutive in neither, Triton spreads threads over the first axis,
so that sums over channels stay inside a thread and neighbours read neighbouring pixels. Sums are in
`ACC`.

Lanes are pixels, where a result belongs to a pixel, and taps, where it is a sum over pixels: a
lane owns what it writes. Pixel lanes past the end of a map repeat its last pixel, and so store the
same numbers twice. There are no atomics: results do not vary from run to run.

What a loop does not change is computed before it, and addresses are a scalar pointer plus a fixed
tile of offsets: that is quick on the device, and bearable in the interpreter.
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

KEY = ['K', 'QUERY', 'VALUE']
# At least a lane for each thread: a warp has 32, on some devices 64.
PIXELS = tuned(('BLOCK',), [(64, 2), (64, 1), (128, 2), (256, 4), (128, 1)], (512,), KEY)
# One warp: on ROCm a barrier does not wait for what other warps write to memory.
TAPS = tuned(('BLOCK',), [(32, 1), (64, 1), (128, 1)], (512,), KEY)


@PIXELS
@triton.jit
def contmix_forward(
    query,  # (B, G, QUERY, H, W)
    rows,  # keys as (B, G, K², QUERY)
    bias,  # (K²)
    rpb,  # (G, 2K - 1, 2K - 1)
    value,  # (B, G, VALUE, H, W), half of a tensor
    out,  # like value
    log_sum,  # (B, G, H, W), half of a tensor
    groups,
    height,
    width,
    K: tl.constexpr,
    QUERY: tl.constexpr,
    QUERY_PAD: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Softmax and aggregation in one pass: the sums are scaled down when a larger logit comes."""
    SIDE: tl.constexpr = 2 * K - 1
    n, pixel, i, j = tile_of_pixels(height, width, BLOCK)
    area = height * width
    plane = n + n // groups * groups
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at(pixel, area, QUERY, QUERY_PAD)
    q = tl.load(query + n * QUERY * area + at, mask=real, other=0.0).to(ACC)
    channel = tl.arange(0, QUERY_PAD)[None, :]
    position = (top - i + K - 1) * SIDE + left - j + K - 1
    at, real = channels_at(top * width + left, area, VALUE, VALUE_PAD)

    peak = tl.full((BLOCK,), -3e38, ACC)  # finite: a first logit of -inf has the weight 0
    total = tl.zeros((BLOCK,), ACC)
    mixed = tl.zeros((BLOCK, VALUE_PAD), ACC)
    for a in range(K):
        key_row = rows + (n * K + a) * K * QUERY
        bias_row = bias + a * K
        rpb_row = rpb + (n % groups * SIDE + a) * SIDE
        value_row = value + plane * VALUE * area + a * width
        for b in range(K):
            key = tl.load(key_row + b * QUERY + channel, mask=channel < QUERY, other=0.0)
            logit = tl.sum(q * key, 1)
            logit += tl.load(bias_row + b) + tl.load(rpb_row + b + position)
            v = tl.load(value_row + b + at, mask=real, other=0.0).to(ACC)
            rises = logit > peak
            smaller = tl.exp(-tl.abs(logit - peak))
            weight = tl.where(rises, 1.0, smaller)
            scale = tl.where(rises, smaller, 1.0)
            peak = tl.maximum(peak, logit)
            total = total * scale + weight
            mixed = mixed * scale[:, None] + weight[:, None] * v

    at, real = channels_at(pixel, area, VALUE, VALUE_PAD)
    mixed = (mixed / total[:, None]).to(out.dtype.element_ty)
    tl.store(out + plane * VALUE * area + at, mixed, mask=real)
    tl.store(log_sum + plane * area + pixel, peak + tl.log(total))


@PIXELS
@triton.jit
def contmix_grad_query(
    query,
    rows,
    bias,
    rpb,
    value,
    log_sum,
    delta,  # like log_sum: the sum of out · grad_out over the channels
    grad_out,  # like value
    grad_query,  # like query; what comes through this half
    groups,
    height,
    width,
    K: tl.constexpr,
    QUERY: tl.constexpr,
    QUERY_PAD: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The forward loop again, now with the gradients of the logits."""
    SIDE: tl.constexpr = 2 * K - 1
    n, pixel, i, j = tile_of_pixels(height, width, BLOCK)
    area = height * width
    plane = n + n // groups * groups
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at(pixel, area, VALUE, VALUE_PAD)
    g = tl.load(grad_out + plane * VALUE * area + at, mask=real, other=0.0).to(ACC)
    q_at, q_real = channels_at(pixel, area, QUERY, QUERY_PAD)
    q = tl.load(query + n * QUERY * area + q_at, mask=q_real, other=0.0).to(ACC)
    channel = tl.arange(0, QUERY_PAD)[None, :]
    position = (top - i + K - 1) * SIDE + left - j + K - 1
    at, real = channels_at(top * width + left, area, VALUE, VALUE_PAD)
    log_total = tl.load(log_sum + plane * area + pixel)
    mean = tl.load(delta + plane * area + pixel)

    grad = tl.zeros((BLOCK, QUERY_PAD), ACC)
    for a in range(K):
        key_row = rows + (n * K + a) * K * QUERY
        bias_row = bias + a * K
        rpb_row = rpb + (n % groups * SIDE + a) * SIDE
        value_row = value + plane * VALUE * area + a * width
        for b in range(K):
            key = tl.load(key_row + b * QUERY + channel, mask=channel < QUERY, other=0.0)
            logit = tl.sum(q * key, 1)
            logit += tl.load(bias_row + b) + tl.load(rpb_row + b + position)
            v = tl.load(value_row + b + at, mask=real, other=0.0).to(ACC)
            grad_logit = tl.exp(logit - log_total) * (tl.sum(g * v, 1) - mean)
            grad += key * grad_logit[:, None]
    tl.store(grad_query + n * QUERY * area + q_at, grad, mask=q_real)


@TAPS
@triton.jit
def contmix_grad_keys(
    query,
    keys,  # (B, G, QUERY, K²)
    bias,
    rpb,
    value,
    log_sum,
    delta,
    grad_out,
    grad_keys,  # (B, G, parts, QUERY, K²)
    grad_bias,  # (B, G, parts, K²)
    grad_rpb,  # (B, G, parts, 2K - 1, 2K - 1)
    groups,
    height,
    width,
    parts,
    K: tl.constexpr,
    QUERY: tl.constexpr,
    QUERY_PAD: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """What one of the parts of a map's pixels adds to the sums; lanes are taps.

    The position bias that a tap takes is not the same near the borders. There a lane adds to what
    another lane of the warp wrote for another pixel: the part has a table of its own, and barriers
    keep the pixels apart. Elsewhere the sum is in registers.
    """
    SIDE: tl.constexpr = 2 * K - 1
    program = tl.program_id(0).to(tl.int64)
    n = program // parts
    area = height * width
    plane = n + n // groups * groups
    query += n * QUERY * area
    rpb += n % groups * SIDE * SIDE
    value += plane * VALUE * area
    log_sum += plane * area
    delta += plane * area
    grad_out += plane * VALUE * area
    grad_rpb += program * SIDE * SIDE
    for start in range(0, SIDE * SIDE, BLOCK):
        entry = start + tl.arange(0, BLOCK)
        tl.store(grad_rpb + entry, tl.zeros((BLOCK,), ACC), mask=entry < SIDE * SIDE)

    size = tl.cdiv(area, parts)
    first = (program % parts).to(tl.int32) * size
    last = tl.minimum(first + size, area)
    q_at, q_real = channels_at(tl.zeros((1,), tl.int32), area, QUERY, QUERY_PAD)
    g_at, g_real = channels_at(tl.zeros((1,), tl.int32), area, VALUE, VALUE_PAD)
    for start in range(0, K * K, BLOCK):
        tap = start + tl.arange(0, BLOCK)
        owned = tap < K * K
        a, b = tl.minimum(tap, K * K - 1) // K, tap % K
        at, _ = channels_at(a * width + b, area, VALUE, VALUE_PAD)
        key_at, _ = channels_at(tap, K * K, QUERY, QUERY_PAD)
        key_mask = q_real & owned[:, None]
        key = tl.load(keys + n * QUERY * K * K + key_at, mask=key_mask, other=0.0)
        key_bias = tl.load(bias + tap, mask=owned, other=float('-inf'))  # weight 0
        centre = a * SIDE + b + (K - 1) * (SIDE + 1)  # for a window that starts at its pixel
        grad_key = tl.zeros((BLOCK, QUERY_PAD), ACC)
        total = tl.zeros((BLOCK,), ACC)
        inner = tl.zeros((BLOCK,), ACC)
        tl.debug_barrier()
        for pixel in range(first, last):
            i, j = pixel // width, pixel % width
            top, left = window_start(i, j, height, width, K)
            moved = (top - i) * SIDE + left - j
            q = tl.load(query + pixel + q_at, mask=q_real, other=0.0).to(ACC)
            g = tl.load(grad_out + pixel + g_at, mask=g_real, other=0.0).to(ACC)
            v = tl.load(value + (top * width + left) + at, mask=g_real, other=0.0).to(ACC)
            logit = tl.sum(q * key, 1) + key_bias + tl.load(rpb + moved + centre)
            weight = tl.exp(logit - tl.load(log_sum + pixel))
            grad_logit = weight * (tl.sum(g * v, 1) - tl.load(delta + pixel))
            grad_key += q * grad_logit[:, None]
            total += grad_logit
            if moved == -(K // 2) * (SIDE + 1):
                inner += grad_logit
            else:
                before = tl.load(grad_rpb + moved + centre, mask=owned)
                tl.store(grad_rpb + moved + centre, before + grad_logit, mask=owned)
                tl.debug_barrier()
        entry = centre - K // 2 * (SIDE + 1)
        before = tl.load(grad_rpb + entry, mask=owned)
        tl.store(grad_rpb + entry, before + inner, mask=owned)
        tl.store(grad_bias + program * K * K + tap, total, mask=owned)
        tl.store(grad_keys + program * QUERY * K * K + key_at, grad_key, mask=key_mask)


@PIXELS
@triton.jit
def contmix_grad_value(
    query,
    keys,
    bias,
    rpb,
    log_sum,
    grad_out,
    grad_value,  # like value
    groups,
    height,
    width,
    K: tl.constexpr,
    QUERY: tl.constexpr,
    QUERY_PAD: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every position gathers from the pixels whose windows hold it."""
    n, place, y, x = tile_of_pixels(height, width, BLOCK)
    area = height * width
    plane = n + n // groups * groups
    query += n * QUERY * area
    keys += n * QUERY * K * K
    rpb += n % groups * (2 * K - 1) * (2 * K - 1)
    log_sum += plane * area
    grad_out += plane * VALUE * area
    top, bottom = reached_pixels(y, height, K)
    left, right = reached_pixels(x, width, K)
    at, real = channels_at(place, area, VALUE, VALUE_PAD)
    channel = tl.arange(0, QUERY_PAD)[None, :]
    g_channel = tl.arange(0, VALUE_PAD)[None, :]

    grad = tl.zeros((BLOCK, VALUE_PAD), ACC)
    for row in range(tl.max(bottom - top, 0) + 1):
        i = tl.minimum(top + row, bottom)
        first_entry = (y - i + K - 1) * (2 * K - 1) + x + K - 1
        for column in range(tl.max(right - left, 0) + 1):
            j = tl.minimum(left + column, right)
            reached = (top + row <= bottom) & (left + column <= right)
            pixel = i * width + j
            window_top, window_left = window_start(i, j, height, width, K)
            tap = (y - window_top) * K + x - window_left
            q_at = (query + pixel)[:, None] + channel * area
            key_at = (keys + tap)[:, None] + channel * K * K
            g_at = (grad_out + pixel)[:, None] + g_channel * area
            q = tl.load(q_at, mask=channel < QUERY, other=0.0).to(ACC)
            key = tl.load(key_at, mask=channel < QUERY, other=0.0)
            g = tl.load(g_at, mask=g_channel < VALUE, other=0.0).to(ACC)
            logit = tl.sum(q * key, 1) + tl.load(bias + tap) + tl.load(rpb + first_entry - j)
            weight = tl.exp(logit - tl.load(log_sum + pixel))
            grad += tl.where(reached, weight, 0.0)[:, None] * g
    grad = grad.to(grad_value.dtype.element_ty)
    tl.store(grad_value + plane * VALUE * area + at, grad, mask=real)
