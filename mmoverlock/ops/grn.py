"""Global response normalisation (ConvNeXt V2, arXiv 2301.00808, section 3.1).

It stands in every MLP, on the widest maps of the network. Written as formulas, autograd makes three
new maps for its gradient; here it makes one, and the sums over the map are taken in one reading.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from .numba_maps import COMPILE
from .numba_tensors import flat
from .plain import plain
from .threads import share

STRIP = 512  # pixels summed by one thread at a time; short, as float32 sums are inexact


@njit(**COMPILE)
def strip_sums_piece(piece, a, b, sums, pixels, channels, strips):
    """Σ a·b and Σ a over a strip of pixels of channels_last maps, to zeros (B, strips, 2, C)."""
    n, strip = divmod(np.int64(piece), strips)
    products, plain_sums = sums[n, strip, 0], sums[n, strip, 1]
    for pixel in range(strip * STRIP, min((strip + 1) * STRIP, pixels)):
        first = (n * pixels + pixel) * channels
        for c in range(channels):
            products[c] += a[first + c] * b[first + c]
            plain_sums[c] += a[first + c]


@njit(**COMPILE)
def strip_sums(pieces, threads, *args):
    """:func:`strip_sums_piece` for every piece."""
    share(strip_sums_piece, pieces, threads, args)


def _sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ a·b and Σ a over the pixels of (B, C, H, W) maps: (B, C, 1, 1), in float32 at least.

    Sums of squares overflow float16 on ordinary maps.
    """
    batch, channels, height, width = a.shape
    fits = all(
        type(t) is Tensor
        and t.device.type == 'cpu'
        and t.dtype in (torch.float32, torch.float64)
        and t.is_contiguous(memory_format=torch.channels_last)
        for t in (a, b)
    )
    if fits and a.numel():
        pixels = height * width
        strips = -(-pixels // STRIP)
        sums = a.new_zeros(batch, strips, 2, channels)
        strip_sums(
            batch * strips,
            torch.get_num_threads(),
            flat(a),
            flat(b),
            sums.numpy(),
            pixels,
            channels,
            strips,
        )
        products, plain_sums = sums.sum(1)[..., None, None].unbind(1)
        return products, plain_sums
    dtype = torch.promote_types(a.dtype, torch.float32)
    return tuple(t.sum((2, 3), keepdim=True, dtype=dtype) for t in (a.to(dtype) * b, a))


def _scale_by(norm: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The mean norm (B, 1, 1, 1), and what a map with norms (B, C, 1, 1) is multiplied by."""
    mean = norm.mean(dim=1, keepdim=True) + eps
    return mean, gamma * (norm / mean) + 1


class _GRN(torch.autograd.Function):
    """:func:`grn`, of which nothing but the input map is kept for the backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
        norm = _sums(x, x)[0].sqrt()
        mean, scale = _scale_by(norm, gamma, eps)
        ctx.save_for_backward(x, gamma, norm, mean, scale)
        ctx.beta_dtype = beta.dtype
        return torch.addcmul(beta.to(x.dtype), scale.to(x.dtype), x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, norm, mean, scale = ctx.saved_tensors
        grad_scale, grad_beta = _sums(grad, x)
        grad_gamma = (grad_scale * norm / mean).sum(0, keepdim=True)
        # Every norm also enters the mean of its image.
        grad_response = grad_scale * gamma
        through_mean = (grad_response * norm).mean(dim=1, keepdim=True) / mean
        grad_norm = (grad_response - through_mean) / mean
        pull = grad_norm / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        grad_x = (grad * scale.to(x.dtype)).addcmul_(x, pull.to(x.dtype))
        grad_beta = grad_beta.sum(0, keepdim=True).to(ctx.beta_dtype)
        return grad_x, grad_gamma.to(gamma.dtype), grad_beta, None


def grn(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-6, inplace: bool = False) -> Tensor:
    """x · (1 + γ · N(x)) + β, where N(x) is every channel's L2 norm over the map, relative to the
    mean norm of all channels of the image.

    Args:
        x: (B, C, H, W).
        gamma: (1, C, 1, 1).
        beta: (1, C, 1, 1).
        eps: Added to the mean norm.
        inplace: Overwrite `x`; only without gradients.

    Returns:
        (B, C, H, W), in the dtype of `x`; norms are computed in float32 at least. Differentiable
        once in `x`, `gamma` and `beta`.
    """
    if plain() or torch.compiler.is_compiling():
        dtype = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=dtype)
    elif torch.is_grad_enabled():
        return _GRN.apply(x, gamma, beta, eps)
    else:
        norm = _sums(x, x)[0].sqrt()
    _, scale = _scale_by(norm, gamma, eps)
    out = x if inplace else None
    return torch.addcmul(beta.to(x.dtype), scale.to(x.dtype), x, out=out)
