"""Global response normalisation (ConvNeXt V2, arXiv 2301.00808, section 3.1).

It stands in every MLP, on the widest maps of the network. Written as formulas, autograd makes three
new maps for its gradient; here it makes one, and the sums over the map are taken in one reading.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import numba_channels
from .numba_tensors import array, flat, looped, overwritten
from .plain import plain


def _sums(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ a·b and Σ a over the pixels of (B, C, H, W) maps: (B, C, 1, 1), in float32 at least.

    Sums of squares overflow float16 on ordinary maps.
    """
    if looped(a, b):
        batch, channels, height, width = a.shape
        threads, pixels = torch.get_num_threads(), height * width
        sums = numba_channels.sums(threads, flat(a), flat(b), batch, pixels, channels)
        return torch.from_numpy(sums).to(a.dtype)[..., None, None].unbind(1)
    dtype = torch.promote_types(a.dtype, torch.float32)
    return tuple(t.sum((2, 3), keepdim=True, dtype=dtype) for t in (a.to(dtype) * b, a))


def _scale_by(norm: Tensor, gamma: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The mean norm (B, 1, 1, 1), and what a map with norms (B, C, 1, 1) is multiplied by."""
    mean = norm.mean(dim=1, keepdim=True) + eps
    return mean, gamma * (norm / mean) + 1


def _normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float, out: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The result, in `out` if that is a tensor, and the norms of the channels, (B, C, 1, 1)."""
    if plain() or torch.compiler.is_compiling() or not looped(x):
        dtype = torch.promote_types(x.dtype, torch.float32)
        norm = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=dtype)
        _, scale = _scale_by(norm, gamma, eps)
        return torch.addcmul(beta.to(x.dtype), scale.to(x.dtype), x, out=out), norm
    out = torch.empty_like(x) if out is None else out
    norm = x.new_empty(x.shape[:2], dtype=torch.float64)
    weights = (
        t.to(x.dtype).expand(1, x.shape[1], 1, 1).contiguous().flatten() for t in (gamma, beta)
    )
    numba_channels.grn(
        torch.get_num_threads(),
        flat(x),
        *map(array, weights),
        eps,
        flat(out),
        array(norm),
        x.shape[2] * x.shape[3],
    )
    return overwritten(out), norm.to(x.dtype)[..., None, None]


class _GRN(torch.autograd.Function):
    """:func:`grn`, of which nothing but the input map is kept for the backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
        out, norm = _normalise(x, gamma, beta, eps, None)
        ctx.save_for_backward(x, gamma, norm)
        ctx.beta_dtype, ctx.eps = beta.dtype, eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, norm = ctx.saved_tensors
        mean, scale = _scale_by(norm, gamma, ctx.eps)
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
    if torch.is_grad_enabled() and not (plain() or torch.compiler.is_compiling()):
        return _GRN.apply(x, gamma, beta, eps)
    return _normalise(x, gamma, beta, eps, x if inplace else None)[0]
