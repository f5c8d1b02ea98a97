"""Layers of OverLoCK's MLPs. Parameter names are those of the published state dicts."""

import torch
from torch import Tensor, nn

from mmoverlock.ops.dispatch import may_overwrite


class GELU(nn.GELU):
    """Exact GELU, which overwrites its input where no gradient is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(x) if may_overwrite() else super().forward(x)


class ResDWConv(nn.Conv2d):
    """Residual 3×3 depthwise convolution: x + conv(x), (B, C, H, W) in and out."""

    def __init__(self, dim: int):
        super().__init__(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y.add_(x) if may_overwrite() else x + y
