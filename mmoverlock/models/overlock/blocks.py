"""The blocks: RepConvBlock in Base-Net and Overview-Net, DynamicBlock in Focus-Net."""

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmoverlock.ops import conv_mlp

from .arch import Arch
from .contmix import ContMixBase
from .layers import (
    GELU,
    GRN,
    SE,
    Conv1x1,
    LayerNorm2d,
    LayerScale,
    ResDWConv,
    conv1x1_bn,
    layer_scale,
    mlp_layers,
)
from .reparam import DilatedReparam

LS_INIT = (None, None, 1.0, 1.0)  # LayerScale start of stages 1..4
SMALL_KERNEL = 5  # ContMix's


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
    """Static large-kernel block of stage 0..3, (B, dim, H, W) in and out (OverLoCK, figure 4b)."""

    def __init__(self, arch: Arch, stage: int, drop_path: float, deploy: bool):
        super().__init__()
        dim = arch.embed_dim[stage]
        hidden = int(dim * arch.mlp_ratio[stage])
        self.dwconv = ResDWConv(dim)
        self.proj = RepConvBranch(dim, hidden, arch.kernel_size[stage], drop_path, deploy)
        self.ls = layer_scale(dim, LS_INIT[stage])  # on the residual stream

    def forward(self, x: Tensor) -> Tensor:
        x = self.dwconv(x)
        return self.ls(x) + self.proj(x)


class DynamicBlock(ContMixBase):
    """Block of Focus-Net: features and context prior flow together through ContMix (figure 4c).

    Args:
        arch: Gives `dim` and `ctx_dim`, the channels of the features and of the context prior.
        stage: 2 or 3.
        drop_path: Probability of dropping a branch.
        deploy: Build the merged form.
        first: The first block of Focus-Net takes the context as it is; the others add the original
            context to it, each with a learned scale.
    """

    def __init__(self, arch: Arch, stage: int, drop_path: float, deploy: bool, first: bool):
        dim, ctx_dim, sub = arch.embed_dim[stage], arch.ctx_dim, stage - 2
        super().__init__(
            dim,
            arch.kernel_size[stage],
            SMALL_KERNEL,
            arch.sub_num_heads[sub],
            arch.sub_mlp_ratio[sub],
            LS_INIT[stage],
            res_scale=True,
            drop_path=drop_path,
            deploy=deploy,
            ctx_dim=ctx_dim,
        )
        full_dim = dim + ctx_dim
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
        value, full = self.enlarge(value, full)
        query, key = full.split((self.dim, self.ctx_dim), dim=1)
        y = self.mix(query, key, value, size)
        return self.residual(identity, self.dyconv_proj(y), gate, lepe)
