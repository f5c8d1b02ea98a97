"""The blocks: RepConvBlock in Base-Net and Overview-Net, DynamicBlock in Focus-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmoverlock.ops import conv_mlp

from .contmix import ContMixBase, at_least_kernel
from .layers import (
    GELU,
    GRN,
    SE,
    Conv1x1,
    LayerNorm2d,
    LayerScale,
    ResDWConv,
    conv1x1_bn,
    mlp_layers,
    resize,
)
from .reparam import DilatedReparam


class RepConvBranch(nn.Sequential):
    """The branch of a :class:`RepConvBlock`, whose layers have the published numbers."""

    def __init__(self, dim: int, hidden: int, kernel_size: int, drop_path: float, deploy: bool):
        super().__init__(
            LayerNorm2d(dim),
            DilatedReparam(dim, kernel_size, deploy),
            nn.BatchNorm2d(dim),
            SE(dim),
            *mlp_layers(dim, hidden),
            DropPath(drop_path),
        )

    def forward(self, x: Tensor) -> Tensor:
        layer_norm, large_kernel, batch_norm, se, *mlp, drop_path = self
        x = se(batch_norm(large_kernel(layer_norm(x))))
        return drop_path(conv_mlp(x, *mlp))


class RepConvBlock(nn.Module):
    """Static large-kernel block, (B, dim, H, W) in and out (OverLoCK, figure 4b).

    Args:
        dim: Channels.
        kernel_size: Large kernel.
        mlp_ratio: Hidden over input channels.
        ls_init_value: Start of the LayerScale on the residual stream; None leaves it out.
        drop_path: Probability of dropping the branch.
        deploy: Build the merged form.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        mlp_ratio: float,
        ls_init_value: float | None,
        drop_path: float,
        deploy: bool,
    ):
        super().__init__()
        self.dwconv = ResDWConv(dim)
        self.proj = RepConvBranch(dim, int(dim * mlp_ratio), kernel_size, drop_path, deploy)
        self.ls = nn.Identity() if ls_init_value is None else LayerScale(dim, ls_init_value)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dwconv(x)
        return self.ls(x) + self.proj(x)


class DynamicBlock(ContMixBase):
    """Block of Focus-Net: features and context prior flow together through ContMix (figure 4c).

    Args:
        dim: Channels of the features, a multiple of 4·num_heads.
        ctx_dim: Channels of the context prior.
        kernel_size: Large kernel.
        num_heads: Heads.
        mlp_ratio: Hidden channels of the MLP over `dim`.
        drop_path: Probability of dropping a branch.
        deploy: Build the merged form.
        first: The first block of Focus-Net takes the context as it is; the others add the original
            context to it, each with a learned scale.
    """

    def __init__(
        self,
        dim: int,
        ctx_dim: int,
        kernel_size: int,
        num_heads: int,
        mlp_ratio: float,
        drop_path: float,
        deploy: bool,
        first: bool,
    ):
        full_dim = dim + ctx_dim
        super().__init__(
            dim=dim,
            key_dim=ctx_dim,
            full_dim=full_dim,
            kernel_size=kernel_size,
            small_kernel=5,
            num_heads=num_heads,
            mlp_dim=int(dim * mlp_ratio),
            ls_init_value=1.0,
            res_scale=True,
            drop_path=drop_path,
            deploy=deploy,
        )
        self.dim, self.ctx_dim, self.first = dim, ctx_dim, first
        if not first:
            self.x_scale = LayerScale(ctx_dim)
            self.h_scale = LayerScale(ctx_dim)
        self.fusion = nn.Sequential(
            nn.Conv2d(full_dim, full_dim, 3, padding=1, groups=full_dim),
            nn.BatchNorm2d(full_dim),
            GELU(),
            Conv1x1(full_dim, dim),
            GRN(dim),
        )
        self.dyconv_proj = nn.Sequential(*conv1x1_bn(dim, dim))

    def forward(self, x: Tensor, ctx: Tensor, ctx_ref: Tensor) -> Tensor:
        """
        Args:
            x: Features (B, dim, H, W).
            ctx: Context prior (B, ctx_dim, H, W), as the block before left it.
            ctx_ref: Context prior (B, ctx_dim, H, W) as Overview-Net gave it.

        Returns:
            Features and context together, (B, dim + ctx_dim, H, W).
        """
        size = x.shape[2:]
        if not self.first:
            ctx = self.x_scale(ctx) + self.h_scale(ctx_ref)
        identity = self.dwconv1(torch.cat((x, ctx), dim=1))
        full = self.norm1(identity)
        value = self.fusion(full)
        gate, lepe = self.gate(value), self.lepe(value)
        run_size = at_least_kernel(*size, self.kernel_size)
        if run_size != size:
            value, full = resize(value, run_size), resize(full, run_size)
        query, key = full.split((self.dim, self.ctx_dim), dim=1)
        y = self.mix(query, key, value)
        if run_size != size:
            y = F.adaptive_avg_pool2d(y, size)
        return self.residual(identity, self.modulate(self.dyconv_proj(y), gate, lepe))
