"""OverLoCK for classification: overview first, then a closer look (CVPR 2025, arXiv 2502.20087).

The modules have mmoverlock's names, so that weights go from one to the other as they are.
"""

import jittor as jt
from jittor import nn

from .blocks import DynamicBlock, RepConvBlock
from .layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, conv_bn
from .sizes import ARCHS, Arch


def rep_blocks(arch: Arch, stage: int) -> nn.ModuleList:
    return nn.ModuleList([RepConvBlock(arch, stage) for _ in range(arch.depth[stage])])


def dynamic_blocks(arch: Arch, stage: int) -> nn.ModuleList:
    return nn.ModuleList(
        [
            DynamicBlock(arch, stage, first=stage == 2 and index == 0)
            for index in range(arch.sub_depth[stage - 2])
        ]
    )


class BaseNet(nn.Module):
    """Low and mid-level features at strides 4, 8 and 16."""

    def __init__(self, arch: Arch):
        c1, c2, c3, _ = arch.embed_dim
        self.patch_embed1 = nn.Sequential(
            *conv_bn(3, c1 // 2, 3, stride=2),
            nn.GELU(),
            *conv_bn(c1 // 2, c1 // 2, 3),
            nn.GELU(),
            *conv_bn(c1 // 2, c1, 3, stride=2),
            nn.GELU(),
            *conv_bn(c1, c1, 3),
        )
        self.blocks1 = rep_blocks(arch, 0)
        self.patch_embed2 = nn.Sequential(*conv_bn(c1, c2, 3, stride=2))
        self.blocks2 = rep_blocks(arch, 1)
        self.patch_embed3 = nn.Sequential(*conv_bn(c2, c3, 3, stride=2))
        self.blocks3 = rep_blocks(arch, 2)

    def execute(self, image: jt.Var) -> list[jt.Var]:
        maps, x = [], image
        for stage in '123':
            x = getattr(self, f'blocks{stage}')(getattr(self, f'patch_embed{stage}')(x))
            maps.append(x)
        return maps


class OverviewNet(nn.Module):
    """A quick look at the whole image, at stride 32."""

    def __init__(self, arch: Arch):
        self.patch_embed4 = nn.Sequential(*conv_bn(*arch.embed_dim[2:], 3, stride=2))
        self.blocks4 = rep_blocks(arch, 3)

    def execute(self, x: jt.Var) -> jt.Var:
        return self.blocks4(self.patch_embed4(x))


class ContextEmbed(nn.Module):
    """Takes features and context from stride 16 to stride 32."""

    def __init__(self, dim: int, out_dim: int, ctx_dim: int):
        self.x_proj = nn.Sequential(*conv_bn(dim, out_dim, 3, stride=2))
        self.h_proj = nn.Sequential(*conv_bn(ctx_dim, ctx_dim, 3, stride=2))

    def execute(self, x: jt.Var, ctx: jt.Var) -> tuple[jt.Var, jt.Var]:
        return self.x_proj(x), self.h_proj(ctx)


class FocusNet(nn.Module):
    """The closer look: dynamic blocks at strides 16 and 32 under the guidance of the overview."""

    def __init__(self, arch: Arch):
        _, _, c3, c4 = arch.embed_dim
        self.dims = (c3, arch.ctx_dim), (c4, arch.ctx_dim)
        self.high_level_proj = Conv2d(c4, arch.ctx_dim, 1)
        self.sub_blocks3 = dynamic_blocks(arch, 2)
        self.patch_embedx = ContextEmbed(c3, c4, arch.ctx_dim)
        self.sub_blocks4 = dynamic_blocks(arch, 3)

    def execute(self, x: jt.Var, overview: jt.Var) -> tuple[jt.Var, jt.Var]:
        ctx_ori = self.high_level_proj(overview)
        ctx = ctx_up = nn.resize(ctx_ori, tuple(x.shape[2:]), 'bilinear')
        for block in self.sub_blocks3:
            c4 = block(x, ctx, ctx_up)
            x, ctx = c4.split(self.dims[0], 1)
        x, ctx = self.patch_embedx(x, ctx)
        for block in self.sub_blocks4:
            focus = block(x, ctx, ctx_ori)
            x, ctx = focus.split(self.dims[1], 1)
        return c4, focus


class Backbone(nn.Module):
    """The three networks."""

    def __init__(self, arch: Arch):
        self.base_net = BaseNet(arch)
        self.overview_net = OverviewNet(arch)
        self.focus_net = FocusNet(arch)

    def execute(self, image: jt.Var) -> tuple[list[jt.Var], jt.Var]:
        """(B, 3, H, W), H and W at least 32 → the maps at strides 4, 8, 16 and 32, and overview."""
        c2, c3, x = self.base_net(image)
        overview = self.overview_net(x)
        return [c2, c3, *self.focus_net(x, overview)], overview


class Head(nn.Module):
    """Main classifier on the last map, auxiliary classifier on the overview."""

    def __init__(self, arch: Arch, num_classes: int):
        channels = arch.embed_dim[3] + arch.ctx_dim
        self.main = nn.Sequential(
            *conv_bn(channels, arch.projection, 1),
            nn.SiLU(),
            AdaptiveAvgPool2d(1),
            Conv2d(arch.projection, num_classes, 1),
        )
        self.aux = nn.Sequential(
            BatchNorm2d(arch.embed_dim[3]),
            AdaptiveAvgPool2d(1),
            Conv2d(arch.embed_dim[3], num_classes, 1),
        )

    def execute(self, focus: jt.Var, overview: jt.Var) -> tuple[jt.Var, jt.Var]:
        return self.main(focus).flatten(1), self.aux(overview).flatten(1)


class OverLoCK(nn.Module):
    """A classifier of (B, 3, H, W), H and W at least 32.

    Args:
        arch: 'xxt', 'xt', 't', 's' or 'b'.
        num_classes: Number of classes.

    Raises:
        ValueError: there is no such arch.
    """

    def __init__(self, arch: str = 'xxt', num_classes: int = 1000):
        if arch not in ARCHS:
            raise ValueError(f'unknown arch {arch!r}: allowed are {sorted(ARCHS)}')
        self.backbone = Backbone(ARCHS[arch])
        self.head = Head(ARCHS[arch], num_classes)

    def execute(self, image: jt.Var) -> tuple[jt.Var, jt.Var]:
        """Main and auxiliary logits, each (B, num_classes)."""
        maps, overview = self.backbone(image)
        return self.head(maps[-1], overview)
