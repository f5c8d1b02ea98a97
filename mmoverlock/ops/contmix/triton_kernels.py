"""Triton kernels of ContMix; triton_gpu.py launches them.

A map is what one group of one image sees: n = b·G + g. Maps have their channels innermost, as
channels_last keeps them: a query is (B, H, W, G, QUERY), a value (B, H, W, 2, G, VALUE), of which a
kernel gets the view of one half. So a thread reads several channels of a pixel at once, and a few
threads share a pixel. Of a number for each pixel and half, (B, 2, G, H, W), a kernel gets the view
of one half, too, where map n is plane n + b·G. Tiles are (lanes, channels), channels padded to a
power of two (`*_PAD`). Sums are in `ACC`.

Lanes are pixels, where a result belongs to a pixel, and taps, where it is a sum over pixels: a
lane owns what it writes. Pixel lanes past the end of a map repeat its last pixel, and so store the
same numbers twice. There are no atomics: results do not vary from run to run, unless Triton's
autotuner may choose between the forms of the forward kernel.

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
TILES = [(32, 2), (32, 1), (64, 4), (64, 2), (128, 4)]
PIXELS = tuned(('BLOCK',), TILES, (512,), KEY)
BY_TAPS = [(block, False, warps) for block, warps in TILES]
BY_ROWS = [(32, True, 2), (32, True, 1), (64, True, 4)]
FORWARD = tuned(
    ('BLOCK', 'ROWS'),
    BY_TAPS + BY_ROWS,
    (512, False),
    [*KEY, 'PRECISION'],
    suits=lambda tile, others: not tile['ROWS'] or others['PRECISION'] != 'none',
)
SPILLING_VALUE = {
    ('sm_80', 'float16'): [(32, 1)],
    ('sm_80', 'bfloat16'): [(32, 1)],
    ('sm_90', 'float32'): [(32, 2), (64, 4)],
    ('sm_100', 'float32'): [(32, 1)],
    ('sm_100', 'float16'): [(64, 2), (128, 4)],
    ('sm_100', 'bfloat16'): [(32, 1), (64, 2), (128, 4)],
}
GRAD_VALUE = tuned(('BLOCK',), TILES, (512,), KEY, SPILLING_VALUE)
SPILLING_TAPS = {('sm_90', 'bfloat16'): [(16, 1)], ('sm_100', 'float32'): [(32, 1)]}
# One warp: on ROCm a barrier does not wait for what other warps write to memory.
TAPS = tuned(('BLOCK',), [(16, 1), (32, 1), (64, 1)], (512,), KEY, SPILLING_TAPS)


@triton.jit
def channels_of_map(maps, n, groups, area, HALVES: tl.constexpr, C: tl.constexpr):
    """Of (B, H, W, HALVES, G, C): where map n begins, and the steps from a pixel to the next."""
    step = groups * (HALVES * C)
    return maps + n // groups * area * step + n % groups * C, step


@triton.jit
def mix_by_taps(
    q, rows, bias, rpb, position, value, at, real, width, step, K: tl.constexpr, QUERY: tl.constexpr
):
    """The largest logit (BLOCK,), the sum of the weights, that of the weighted values."""
    SIDE: tl.constexpr = 2 * K - 1
    channel = tl.arange(0, q.shape[1])[None, :]
    peak = tl.full((q.shape[0],), -3e38, q.dtype)  # finite: a first logit of -inf has the weight 0
    total = tl.zeros((q.shape[0],), q.dtype)
    mixed = tl.zeros(at.shape, q.dtype)
    for a in range(K):
        for b in range(K):
            tap = a * K + b
            key = tl.load(rows + tap * QUERY + channel, mask=channel < QUERY, other=0.0)
            logit = tl.sum(q * key, 1)
            logit += tl.load(bias + tap) + tl.load(rpb + (a * SIDE + b) + position)
            v = tl.load(value + (a * width + b) * step + at, mask=real, other=0.0).to(q.dtype)
            rises = logit > peak
            smaller = tl.exp(-tl.abs(logit - peak))
            weight = tl.where(rises, 1.0, smaller)
            scale = tl.where(rises, smaller, 1.0)
            peak = tl.maximum(peak, logit)
            total = total * scale + weight
            mixed = mixed * scale[:, None] + weight[:, None] * v
    return peak, total, mixed


@triton.jit
def mix_by_rows(
    q, rows, bias, rpb, position, value, at, real, width, step,
    K: tl.constexpr, K_PAD: tl.constexpr, QUERY: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The same, with the logits of a row of the window by a product of matrices."""
    SIDE: tl.constexpr = 2 * K - 1
    channel = tl.arange(0, q.shape[1])[:, None]
    b = tl.arange(0, K_PAD)[None, :]
    inside = b < K
    position = position[:, None] + b
    key_real = (channel < QUERY) & inside
    real = real[:, None, :] & inside[:, :, None]
    peak = tl.full((q.shape[0],), -3e38, q.dtype)
    total = tl.zeros((q.shape[0],), q.dtype)
    mixed = tl.zeros((q.shape[0], at.shape[1]), q.dtype)
    for a in range(K):
        key = tl.load(rows + (a * K + b) * QUERY + channel, mask=key_real, other=0.0)
        logit = tl.dot(q, key, input_precision=PRECISION)
        logit += tl.load(bias + a * K + b, mask=inside, other=float('-inf'))  # weight 0
        logit += tl.load(rpb + a * SIDE + position, mask=inside, other=0.0)
        tap = value + (a * width + b)[:, :, None] * step  # computed before the loop, it would spill
        v = tl.load(tap + at[:, None, :], mask=real, other=0.0).to(q.dtype)
        highest = tl.maximum(peak, tl.max(logit, 1))
        scale = tl.exp(peak - highest)
        peak = highest
        weight = tl.exp(logit - peak[:, None])
        total = total * scale + tl.sum(weight, 1)
        mixed = mixed * scale[:, None] + tl.sum(weight[:, :, None] * v, 1)
    return peak, total, mixed


@FORWARD
@triton.jit
def contmix_forward(
    query,  # (B, H, W, G, QUERY)
    rows,  # keys as (B, G, K², QUERY)
    bias,  # (K²)
    rpb,  # (G, 2K - 1, 2K - 1)
    value,  # (B, H, W, G, VALUE), half of a tensor
    out,  # like value
    log_sum,  # (B, G, H, W), half of a tensor
    groups,
    height,
    width,
    K: tl.constexpr,
    K_PAD: tl.constexpr,
    QUERY: tl.constexpr,
    QUERY_PAD: tl.constexpr,
    VALUE: tl.constexpr,
    VALUE_PAD: tl.constexpr,
    PRECISION: tl.constexpr,
    ACC: tl.constexpr,
    BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Softmax and aggregation in one pass: the sums are scaled down when a larger logit comes.

    ROWS: go through the window by rows. PRECISION: that of matrix units, or 'none': not by rows.
    """
    SIDE: tl.constexpr = 2 * K - 1
    n, pixel, i, j = tile_of_pixels(height, width, BLOCK)
    area = height * width
    query, step_q = channels_of_map(query, n, groups, area, 1, QUERY)
    value, step = channels_of_map(value, n, groups, area, 2, VALUE)
    out, step = channels_of_map(out, n, groups, area, 2, VALUE)
    log_sum += (n + n // groups * groups) * area
    rpb += n % groups * SIDE * SIDE
    rows += n * K * K * QUERY
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at(pixel * step_q, 1, QUERY, QUERY_PAD)
    q = tl.load(query + at, mask=real, other=0.0).to(ACC)
    position = (top - i + K - 1) * SIDE + left - j + K - 1
    at, real = channels_at((top * width + left) * step, 1, VALUE, VALUE_PAD)
    if ROWS:
        peak, total, mixed = mix_by_rows(
            q, rows, bias, rpb, position, value, at, real, width, step, K, K_PAD, QUERY, PRECISION
        )
    else:
        peak, total, mixed = mix_by_taps(
            q, rows, bias, rpb, position, value, at, real, width, step, K, QUERY
        )
    at, real = channels_at(pixel * step, 1, VALUE, VALUE_PAD)
    mixed = (mixed / total[:, None]).to(out.dtype.element_ty)
    tl.store(out + at, mixed, mask=real)
    tl.store(log_sum + pixel, peak + tl.log(total))


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
    plane = (n + n // groups * groups) * area
    query, step_q = channels_of_map(query, n, groups, area, 1, QUERY)
    grad_query, step_q = channels_of_map(grad_query, n, groups, area, 1, QUERY)
    value, step = channels_of_map(value, n, groups, area, 2, VALUE)
    grad_out, step = channels_of_map(grad_out, n, groups, area, 2, VALUE)
    rpb += n % groups * SIDE * SIDE
    rows += n * K * K * QUERY
    top, left = window_start(i, j, height, width, K)
    at, real = channels_at(pixel * step, 1, VALUE, VALUE_PAD)
    g = tl.load(grad_out + at, mask=real, other=0.0).to(ACC)
    q_at, q_real = channels_at(pixel * step_q, 1, QUERY, QUERY_PAD)
    q = tl.load(query + q_at, mask=q_real, other=0.0).to(ACC)
    channel = tl.arange(0, QUERY_PAD)[None, :]
    position = (top - i + K - 1) * SIDE + left - j + K - 1
    at, real = channels_at((top * width + left) * step, 1, VALUE, VALUE_PAD)
    log_total = tl.load(log_sum + plane + pixel)
    mean = tl.load(delta + plane + pixel)

    grad = tl.zeros((BLOCK, QUERY_PAD), ACC)
    for a in range(K):
        for b in range(K):
            tap = a * K + b
            key = tl.load(rows + tap * QUERY + channel, mask=channel < QUERY, other=0.0)
            logit = tl.sum(q * key, 1)
            logit += tl.load(bias + tap) + tl.load(rpb + (a * SIDE + b) + position)
            v = tl.load(value + (a * width + b) * step + at, mask=real, other=0.0).to(ACC)
            grad_logit = tl.exp(logit - log_total) * (tl.sum(g * v, 1) - mean)
            grad += key * grad_logit[:, None]
    tl.store(grad_query + q_at, grad, mask=q_real)


@TAPS
@triton.jit
def contmix_grad_keys(
    query,
    rows,
    bias,
    rpb,
    value,
    log_sum,
    delta,
    grad_out,
    grad_rows,  # (B, G, parts, K², QUERY)
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
    plane = (n + n // groups * groups) * area
    query, step_q = channels_of_map(query, n, groups, area, 1, QUERY)
    value, step = channels_of_map(value, n, groups, area, 2, VALUE)
    grad_out, step = channels_of_map(grad_out, n, groups, area, 2, VALUE)
    rows += n * K * K * QUERY
    rpb += n % groups * SIDE * SIDE
    log_sum += plane
    delta += plane
    grad_rpb += program * SIDE * SIDE
    for start in range(0, SIDE * SIDE, BLOCK):
        entry = start + tl.arange(0, BLOCK)
        tl.store(grad_rpb + entry, tl.zeros((BLOCK,), ACC), mask=entry < SIDE * SIDE)

    size = tl.cdiv(area, parts)
    first = (program % parts).to(tl.int32) * size
    last = tl.minimum(first + size, area)
    q_at, q_real = channels_at(tl.zeros((1,), tl.int32), 1, QUERY, QUERY_PAD)
    g_at, g_real = channels_at(tl.zeros((1,), tl.int32), 1, VALUE, VALUE_PAD)
    for start in range(0, K * K, BLOCK):
        tap = start + tl.arange(0, BLOCK)
        owned = tap < K * K
        a, b = tl.minimum(tap, K * K - 1) // K, tap % K
        at, _ = channels_at((a * width + b) * step, 1, VALUE, VALUE_PAD)
        key_at, _ = channels_at(tap * QUERY, 1, QUERY, QUERY_PAD)
        key_mask = q_real & owned[:, None]
        key = tl.load(rows + key_at, mask=key_mask, other=0.0)
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
            q = tl.load(query + pixel * step_q + q_at, mask=q_real, other=0.0).to(ACC)
            g = tl.load(grad_out + pixel * step + g_at, mask=g_real, other=0.0).to(ACC)
            corner = value + (top * width + left) * step
            v = tl.load(corner + at, mask=g_real, other=0.0).to(ACC)
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
        tl.store(grad_rows + program * QUERY * K * K + key_at, grad_key, mask=key_mask)


@GRAD_VALUE
@triton.jit
def contmix_grad_value(
    query,
    rows,
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
    SIDE: tl.constexpr = 2 * K - 1
    n, place, y, x = tile_of_pixels(height, width, BLOCK)
    area = height * width
    query, step_q = channels_of_map(query, n, groups, area, 1, QUERY)
    grad_out, step = channels_of_map(grad_out, n, groups, area, 2, VALUE)
    grad_value, step = channels_of_map(grad_value, n, groups, area, 2, VALUE)
    rows += n * K * K * QUERY
    rpb += n % groups * SIDE * SIDE
    log_sum += (n + n // groups * groups) * area
    top, bottom = reached_pixels(y, height, K)
    left, right = reached_pixels(x, width, K)
    channel = tl.arange(0, QUERY_PAD)[None, :]
    g_channel = tl.arange(0, VALUE_PAD)[None, :]

    grad = tl.zeros((BLOCK, VALUE_PAD), ACC)
    for row in range(tl.max(bottom - top, 0) + 1):
        i = tl.minimum(top + row, bottom)
        first_entry = (y - i + K - 1) * SIDE + x + K - 1
        for column in range(tl.max(right - left, 0) + 1):
            j = tl.minimum(left + column, right)
            reached = (top + row <= bottom) & (left + column <= right)
            pixel = i * width + j
            window_top, window_left = window_start(i, j, height, width, K)
            tap = (y - window_top) * K + x - window_left
            q_at = query + (pixel * step_q)[:, None] + channel
            q = tl.load(q_at, mask=channel < QUERY, other=0.0).to(ACC)
            key_at = rows + (tap * QUERY)[:, None] + channel
            key = tl.load(key_at, mask=channel < QUERY, other=0.0)
            g_at = grad_out + (pixel * step)[:, None] + g_channel
            g = tl.load(g_at, mask=g_channel < VALUE, other=0.0).to(ACC)
            logit = tl.sum(q * key, 1) + tl.load(bias + tap) + tl.load(rpb + first_entry - j)
            weight = tl.exp(logit - tl.load(log_sum + pixel))
            grad += tl.where(reached, weight, 0.0)[:, None] * g
    grad = grad.to(grad_value.dtype.element_ty)
    at, real = channels_at(place * step, 1, VALUE, VALUE_PAD)
    tl.store(grad_value + at, grad, mask=real)
