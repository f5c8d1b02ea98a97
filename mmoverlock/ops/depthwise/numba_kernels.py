"""Loops of the depthwise convolution on the CPU.

A vector holds neighbouring channels of one pixel. A thread copies one vector of channels of some
rows into scratch memory, with the zero padding around, and keeps the sums of TILE neighbouring
pixels (or taps, for the weight's gradient) in registers. Neighbouring taps want the same pixels:
without dilation, two taps at a time load TILE + 1 vectors of pixels for 2 · TILE multiply-adds.

Taps are (vectors of channels, K·K, lanes), see :func:`.to_vectors`, and biases alike. `sizes` is B,
C, H, W, K, dilation and into how many strips of rows a map is cut.
"""

from mmoverlock.ops._numba.compile import jit
from mmoverlock.ops._numba.layout import (
    TILE,
    aligned,
    pack,
    part,
    scratch,
    tiled,
    to_vectors,
    unpack,
)
from mmoverlock.ops._numba.parallel import parallel_for
from mmoverlock.ops._numba.simd import (
    add,
    fma_each,
    fma_pairs,
    lanes,
    load,
    repeat,
    splat,
    store,
    store_each,
)


@jit
def piece_bounds(item, channels, height, strips, array):
    """What the piece `item` is of a (B, C, H, W) map whose images are cut into strips of rows.

    Returns the number of its vector of channels among those of all images, its image, its first
    channel, how many channels, its first row and the one behind its last.
    """
    step = lanes(array)
    blocks = -(-channels // step)
    n, strip = item // strips, item % strips
    b, c = n // blocks, n % blocks * step
    first, last = strip * height // strips, (strip + 1) * height // strips
    return n, b, c, min(step, channels - c), first, last


@jit
def rows_of_taps(i, size, dilation, height):
    """Which rows of taps, the kernel's middle on row i, are not all on padding: first and end."""
    half = size // 2
    return half - min(half, i // dilation), half + min(half, (height - 1 - i) // dilation) + 1


@jit
def convolve(padded, line, kernel, bias, size, dilation, span, width, out, onto=False):
    """Convolve some rows of one vector of channels.

    `span` is their first, the one behind the last, and how many the map has. `padded` has lines of
    `line` elements, from the first that the first row wants; lines of padding alone are not read.
    With `onto`, the result is added to what `out` holds.
    """
    top, bottom, height = span
    step = lanes(padded)
    one = splat(padded.dtype.type(1))
    for i in range(top, bottom):
        start, end = rows_of_taps(i, size, dilation, height)
        for j in range(0, width, TILE):
            sums = repeat(load(bias, 0), TILE)
            for a in range(start, end):
                at = (i - top + a * dilation) * line + j * step
                tap, behind = a * size, a * size + size
                if dilation == 1:
                    while tap < behind - 1:
                        first, second = load(kernel, tap * step), load(kernel, (tap + 1) * step)
                        sums = fma_pairs(sums, padded, at, step, first, second)
                        at += 2 * step
                        tap += 2
                while tap < behind:
                    sums = fma_each(sums, padded, at, step, load(kernel, tap * step))
                    at += dilation * step
                    tap += 1
            to = ((i - top) * tiled(width) + j) * step
            if onto:
                sums = fma_each(sums, out, to, step, one)
            store_each(out, to, step, sums)


@jit
def correlate_taps(sums, padded, at, hop, grads, grad, width, out, to):
    """Add up neighbouring taps along one row of pixels: as many as `sums` holds zeros."""
    step, end = lanes(padded), grad + width * lanes(padded)
    if hop == step:
        while grad < end - step:
            first, second = load(grads, grad), load(grads, grad + step)
            sums = fma_pairs(sums, padded, at, step, first, second)
            at += 2 * step
            grad += 2 * step
    while grad < end:
        sums = fma_each(sums, padded, at, hop, load(grads, grad))
        at += step
        grad += step
    one = splat(padded.dtype.type(1))
    store_each(out, to, step, fma_each(sums, out, to, step, one))


@jit
def correlate(padded, line, grads, grads_at, size, dilation, span, width, out):
    """Add gradient · input, summed over the pixels, to the taps `out`, (K·K, lanes).

    Both have lines of `line` elements, see :func:`convolve`. Taps of a row are taken by sevens,
    fives and threes, so that every odd number of them is taken once.
    """
    top, bottom, height = span
    step, hop = lanes(padded), dilation * lanes(padded)
    zero = splat(padded.dtype.type(0))
    for i in range(top, bottom):
        grad = grads_at + (i - top) * line
        start, end = rows_of_taps(i, size, dilation, height)
        for a in range(start, end):
            at = (i - top + a * dilation) * line
            b = 0
            while b < size:
                left, x, to = size - b, at + b * hop, (a * size + b) * step
                if left == 7 or left > 15:
                    correlate_taps(repeat(zero, 7), padded, x, hop, grads, grad, width, out, to)
                    b += 7
                elif left == 5 or left > 9:
                    correlate_taps(repeat(zero, 5), padded, x, hop, grads, grad, width, out, to)
                    b += 5
                elif left > 1:
                    correlate_taps(repeat(zero, 3), padded, x, hop, grads, grad, width, out, to)
                    b += 3
                else:
                    correlate_taps(repeat(zero, 1), padded, x, hop, grads, grad, width, out, to)
                    b += 1


@jit
def taps_in_vectors(weight, like):
    """Taps (C, T) as (vectors of channels, T, lanes), flat; see :func:`.to_vectors`."""
    return to_vectors(weight.T[None], like)


@jit
def add_identity(taps, size):
    """Turn the taps of conv(x), of taps_in_vectors, into those of x + conv(x)."""
    step, one = lanes(taps), splat(taps.dtype.type(1))
    for at in range(size * size // 2 * step, len(taps), size * size * step):
        store(taps, at, add(load(taps, at), one))


@jit
def add_taps_piece(item, taps, batch, strips, weight):
    """One vector of channels of :func:`add_taps`."""
    (channels, number), step = weight.shape, lanes(taps)
    vectors, line = -(-channels // step), number * step
    totals = aligned(line, taps)
    for t in range(0, line, step):
        total = splat(taps.dtype.type(0))
        for b in range(batch):
            for strip in range(strips):
                total = add(total, load(taps, ((b * vectors + item) * strips + strip) * line + t))
        store(totals, t, total)
    c = item * step
    for lane in range(min(step, channels - c)):
        for n in range(number):
            weight[c + lane, n] = totals[n * step + lane]


@jit
def add_taps(threads, taps, batch, strips, weight):
    """Taps of all pieces, (B, vectors of channels, strips, T, lanes), flat → their sums (C, T)."""
    vectors = -(-len(weight) // lanes(taps))
    parallel_for(add_taps_piece, vectors, threads, (taps, batch, strips, weight))


@jit
def pack_padded(tensor, channels, span, width, halo, line, like):
    """Rows of `line` elements: those of `span`, with `halo` pixels or zeros on every side."""
    first, last, height = span
    padded = scratch((last - first + 2 * halo) * line, like)
    top, bottom = max(first - halo, 0), min(last + halo, height)
    at = (top - first + halo) * line + halo * lanes(like)
    pack(tensor, channels, top, bottom, width, padded, at, line)
    return padded


@jit
def forward_piece(item, x, taps, bias, out, sizes):
    """The convolution of a piece."""
    _, channels, height, width, size, dilation, strips = sizes
    step, halo = lanes(taps), dilation * (size // 2)
    _, b, c, count, first, last = piece_bounds(item, channels, height, strips, taps)
    span, flat_line = (first, last, height), tiled(width) * step
    line = flat_line + 2 * halo * step
    padded = pack_padded(part(x, b, c), count, span, width, halo, line, taps)
    mixed = aligned((last - first) * flat_line, taps)
    kernel = taps[c * size * size :]
    convolve(padded, line, kernel, bias[c:], size, dilation, span, width, mixed)
    unpack(mixed, part(out, b, c), count, first, last, width, flat_line)


@jit
def forward(pieces, threads, x, weight, bias, out, sizes):
    """:func:`forward_piece` for every piece, with weight (C, K·K) and bias (C, 1)."""
    taps, offset = taps_in_vectors(weight, weight), taps_in_vectors(bias, weight)
    parallel_for(forward_piece, pieces, threads, (x, taps, offset, out, sizes))


@jit
def backward_piece(item, grad_out, x, flipped, grad_x, grad_taps, sizes):
    """The gradient of x; that of the taps is added to zeros, (pieces, K·K, lanes).

    `flipped` are the taps, the last first.
    """
    _, channels, height, width, size, dilation, strips = sizes
    step, halo = lanes(flipped), dilation * (size // 2)
    _, b, c, count, first, last = piece_bounds(item, channels, height, strips, flipped)
    span, flat_line = (first, last, height), tiled(width) * step
    line = flat_line + 2 * halo * step
    padded = pack_padded(part(x, b, c), count, span, width, halo, line, flipped)
    grads = pack_padded(part(grad_out, b, c), count, span, width, halo, line, flipped)
    mixed, zeros = aligned((last - first) * flat_line, flipped), scratch(step, flipped)
    kernel = flipped[c * size * size :]
    convolve(grads, line, kernel, zeros, size, dilation, span, width, mixed)
    grad_kernel, middle = grad_taps[item * size * size * step :], halo * (line + step)
    correlate(padded, line, grads, middle, size, dilation, span, width, grad_kernel)
    unpack(mixed, part(grad_x, b, c), count, first, last, width, flat_line)


@jit
def backward(pieces, threads, grad_out, x, weight, grad_x, grad_weight, sizes):
    """:func:`backward_piece` for every piece, with weight and its gradient (C, K·K)."""
    flipped = taps_in_vectors(weight[:, ::-1], weight)
    taps = scratch(pieces * weight.shape[1] * lanes(weight), weight)
    parallel_for(backward_piece, pieces, threads, (grad_out, x, flipped, grad_x, taps, sizes))
    add_taps(threads, taps, sizes[0], sizes[-1], grad_weight)
