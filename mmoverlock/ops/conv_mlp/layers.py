"""Layers of OverLoCK's MLPs. Parameter names are those of the published state dicts.

Where no gradient is wanted, they overwrite their input.
"""

import torch
from torch import Tensor, nn

from mmoverlock.ops.dispatch import may_overwrite

STRIP_BYTES = 1 << 21  # of a map that is processed strip by strip, in the processor's cache


def _strips(x: Tensor) -> tuple[Tensor, ...]:
    """The map (B, C, H, W) as views of a few rows each."""
    return x.split(max(STRIP_BYTES * x.shape[2] // max(x.nbytes, 1), 1), dim=2)


class GELU(nn.GELU):
    """Exact GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(x) if may_overwrite() else super().forward(x)


class GRN(nn.Module):
    """Global response normalisation (ConvNeXt V2, arXiv 2301.00808, section 3.1).

        out = x · (1 + γ · N(x)) + β

    where N(x) is every channel's L2 norm over the map, divided by the mean of the image's norms.
    Norms are computed in float32 at least.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.eps = 1e-6
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) in and out."""
        overwrite = may_overwrite()
        norm = (_norm_by_strips if overwrite and x.device.type == 'cpu' else _norm)(x)
        scale = self.gamma * (norm / (norm.mean(dim=1, keepdim=True) + self.eps)) + 1
        out = x if overwrite else None
        return torch.addcmul(self.beta.to(x.dtype), scale.to(x.dtype), x, out=out)


def _norm(x: Tensor) -> Tensor:
    """Norms of the channels, (B, C, 1, 1)."""
    dtype = torch.promote_types(x.dtype, torch.float32)  # squares overflow float16
    return torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=dtype)


def _norm_by_strips(x: Tensor) -> Tensor:
    """:func:`_norm`, several times as fast: PyTorch's is slow where channels are innermost."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    squares = (strip.to(dtype).square().sum((2, 3), keepdim=True) for strip in _strips(x))
    return sum(squares).sqrt()
