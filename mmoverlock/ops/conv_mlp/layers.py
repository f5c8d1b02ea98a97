"""Layers of OverLoCK's MLPs. Parameter names are those of the published state dicts."""

import torch
from torch import Tensor, nn

from mmoverlock.ops.dispatch import may_overwrite


class GELU(nn.GELU):
    """Exact GELU, which overwrites its input where no gradient is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(x) if may_overwrite() else super().forward(x)
