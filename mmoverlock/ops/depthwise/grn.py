"""GELU, depthwise convolution and GRN, one behind the other, in training on the CPU.

They stand in every MLP, on the widest maps of the network, which cost more to read and write than
to convolve. The loops are in numba_grn.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmoverlock.ops.grn import pull_of, scale_by
from mmoverlock.ops.numba_tensors import dense, flat, in_vectors
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_grn as loops
from .numba_cpu import per_image, vectors_and_strips

STRIP_BYTES = 1 << 17  # of one of the maps in scratch memory


def _plan(x: Tensor, size: int) -> tuple[int, tuple[int, ...]]:
    """How many pieces of work there are, and the sizes that the loops take."""
    height, width = x.shape[2:]
    vectors, strips = vectors_and_strips(x)
    strips = min(max(strips, height * width * VECTOR_BYTES // STRIP_BYTES), height)
    return vectors * strips, (*x.shape, size, strips)


@torch.library.custom_op('mmoverlock::gelu_depthwise_grn', mutates_args=())
def _op(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    x, threads = dense(x), torch.get_num_threads()
    pieces, sizes = _plan(x, weight.shape[-1])
    taps, offsets = in_vectors(weight.flatten(1).t()), in_vectors(torch.stack((shift, bias)))
    given = flat(x), x.stride(), flat(taps), flat(offsets)
    squares, out = x.new_empty(pieces, 1, taps.shape[-1]), torch.empty_like(x)
    loops.squares(pieces, threads, *given, flat(squares), sizes)
    norm = per_image(squares, x, sizes[-1])[:, 0].sqrt()
    _, scale = scale_by(norm, gamma, eps)
    line = in_vectors(torch.stack((scale, beta.expand_as(scale)), 1).to(x.dtype))
    loops.scale(pieces, threads, *given, flat(line), flat(out), sizes)
    return out, norm


@_op.register_fake
def _(x, shift, weight, bias, gamma, beta, eps):
    return torch.empty_like(x), x.new_empty(x.shape[:2], dtype=torch.float64)


@torch.library.custom_op('mmoverlock::gelu_depthwise_grn_backward', mutates_args=())
def _backward_op(
    grad_out: Tensor,
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    norm: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, threads = dense(x), torch.get_num_threads()
    pieces, sizes = _plan(x, weight.shape[-1])
    taps, offsets = in_vectors(weight.flatten(1).t()), in_vectors(torch.stack((shift, bias)))
    given = flat(grad_out), grad_out.stride(), flat(x), x.stride(), flat(taps), flat(offsets)
    sums = x.new_empty(pieces, 2, taps.shape[-1])
    loops.sums(pieces, threads, *given, flat(sums), sizes)
    grad_beta, grad_scale = per_image(sums, x, sizes[-1]).unbind(1)
    mean, scale = scale_by(norm, gamma, eps)
    grad_gamma, pull = pull_of(grad_scale, norm, mean, gamma)
    mix = in_vectors(torch.stack((scale, pull), 1).to(x.dtype))
    flipped, grad_x = taps.flip(1), torch.empty_like(x)
    grad_taps, grad_offsets = x.new_zeros(pieces, *taps.shape[1:]), torch.empty_like(sums)
    loops.backward(
        pieces,
        threads,
        *given,
        flat(flipped),
        flat(mix),
        flat(grad_x),
        flat(grad_taps),
        flat(grad_offsets),
        sizes,
    )
    grad_weight = per_image(grad_taps, x, sizes[-1]).sum(0).t()
    grad_shift, grad_bias = per_image(grad_offsets, x, sizes[-1]).sum(0)
    small = grad_shift, grad_weight, grad_bias, grad_gamma, grad_beta.sum(0, keepdim=True)
    like = shift, weight, bias, gamma, gamma
    shaped = (t.to(x.dtype).reshape(s.shape) for t, s in zip(small, like, strict=True))
    return grad_x, *(t.clone(memory_format=torch.contiguous_format) for t in shaped)


@_backward_op.register_fake
def _(grad_out, x, shift, weight, bias, gamma, norm, eps):
    return tuple(torch.empty_like(tensor) for tensor in (x, shift, weight, bias, gamma, gamma))


def _setup_context(ctx, inputs, output):
    x, shift, weight, bias, gamma, _, ctx.eps = inputs
    _, norm = output
    ctx.mark_non_differentiable(norm)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, shift, weight, bias, gamma, norm)


def _backward(ctx, grad_out, *_):
    return *_backward_op(grad_out, *ctx.saved_tensors, ctx.eps), None


_op.register_autograd(_backward, setup_context=_setup_context)


def gelu_depthwise_grn(
    x: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float = 1e-6,
) -> Tensor:
    """grn(depthwise_conv2d(gelu(x + shift), weight, bias), gamma, beta).

    See :func:`mmoverlock.ops.depthwise_conv2d` and :func:`mmoverlock.ops.grn.grn`.

    Args:
        x: (B, C, H, W), which :func:`.fused.fit` takes.
        shift: (C).
        weight: (C, 1, K, K), K odd.
        bias: (C).
        gamma: (1, C, 1, 1).
        beta: (1, C, 1, 1).
        eps: Added to the mean norm.

    Returns:
        (B, C, H, W), in the layout of x. Differentiable once in all tensors.
    """
    return _op(x, shift, weight, bias, gamma.flatten(1), beta.flatten(1), eps)[0]
