"""OverLoCK: overview first, then a closer look (CVPR 2025, arXiv 2502.20087).

    image → BaseNet → OverviewNet → FocusNet

Base-Net sees the image at strides 4, 8 and 16. Overview-Net looks at the whole of it, coarsely, at
stride 32. Focus-Net looks again at Base-Net's map, its convolution kernels mixed under the guidance
of that overview. One class serves classification, detection and segmentation; the differences
between the published networks are the flags `out_indices` and `fuse_overview`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmoverlock.ops.dispatch import best_layout

from .arch import Arch, get_arch
from .blocks import DynamicBlock, RepConvBlock
from .checkpoint import classifier_names, load_official, translate
from .layers import GELU, Conv1x1, LayerNorm2d, LayerScale, conv3x3_bn, init_weights, resize
from .reparam import DilatedReparam


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms inside normalise by the batch without counting it in their running statistics."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def run(block: nn.Module, *inputs: Tensor, recompute: bool) -> Tensor:
    """Call a block; with `recompute`, its activations are computed again in the backward pass.

    The second forward pass leaves the running statistics alone: they count each batch once.
    """
    if not (recompute and torch.is_grad_enabled() and block.training):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), frozen_statistics(block)),
    )


def rep_blocks(arch: Arch, stage: int, rates: Iterator[float], deploy: bool) -> nn.ModuleList:
    """The RepConvBlocks of stage 0..3; takes their drop-path rates from `rates`."""
    number = arch.depth[stage]
    return nn.ModuleList(RepConvBlock(arch, stage, next(rates), deploy) for _ in range(number))


def dynamic_blocks(arch: Arch, stage: int, rates: Iterator[float], deploy: bool) -> nn.ModuleList:
    """The DynamicBlocks of stage 2 or 3; takes their drop-path rates from `rates`."""
    return nn.ModuleList(
        DynamicBlock(arch, stage, next(rates), deploy, first=stage == 2 and index == 0)
        for index in range(arch.sub_depth[stage - 2])
    )


class BaseNet(nn.Module):
    """Low and mid-level features at strides 4, 8 and 16."""

    def __init__(
        self, arch: Arch, rates: Iterator[float], use_checkpoint: Sequence[int], deploy: bool
    ):
        super().__init__()
        c1, c2, c3, _ = arch.embed_dim
        self.use_checkpoint = use_checkpoint
        self.patch_embed1 = nn.Sequential(
            *conv3x3_bn(3, c1 // 2, stride=2),
            GELU(),
            *conv3x3_bn(c1 // 2, c1 // 2, stride=1),
            GELU(),
            *conv3x3_bn(c1 // 2, c1, stride=2),
            GELU(),
            *conv3x3_bn(c1, c1, stride=1),
        )
        self.blocks1 = rep_blocks(arch, 0, rates, deploy)
        self.patch_embed2 = nn.Sequential(*conv3x3_bn(c1, c2, stride=2))
        self.blocks2 = rep_blocks(arch, 1, rates, deploy)
        self.patch_embed3 = nn.Sequential(*conv3x3_bn(c2, c3, stride=2))
        self.blocks3 = rep_blocks(arch, 2, rates, deploy)

    def forward(self, image: Tensor, c3_norm: nn.Module | None = None) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, 3, H, W).
            c3_norm: Norm between stages 2 and 3, which the dense-prediction networks have.

        Returns:
            Maps at strides 4 (C1), 8 (C2, normed if `c3_norm` is given) and 16 (C3).
        """
        n1, n2, n3, _ = self.use_checkpoint
        c2 = self.patch_embed1(image)
        for i, block in enumerate(self.blocks1):
            c2 = run(block, c2, recompute=i < n1)
        c3 = self.patch_embed2(c2)
        for i, block in enumerate(self.blocks2):
            c3 = run(block, c3, recompute=i < n2)
        if c3_norm is not None:
            c3 = c3_norm(c3)
        x = self.patch_embed3(c3)
        for i, block in enumerate(self.blocks3):
            x = run(block, x, recompute=i < n3)
        return c2, c3, x


class OverviewNet(nn.Module):
    """A quick look at the whole image: the stride-32 map that guides Focus-Net."""

    def __init__(
        self, arch: Arch, rates: Iterator[float], use_checkpoint: Sequence[int], deploy: bool
    ):
        super().__init__()
        self.use_checkpoint = use_checkpoint
        self.patch_embed4 = nn.Sequential(*conv3x3_bn(*arch.embed_dim[2:], stride=2))
        self.blocks4 = rep_blocks(arch, 3, rates, deploy)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C3, H/16, W/16) → overview (B, C4, H/32, W/32)."""
        x = self.patch_embed4(x)
        for i, block in enumerate(self.blocks4):
            x = run(block, x, recompute=i < self.use_checkpoint[3])
        return x


class ContextEmbed(nn.Module):
    """Strided convolutions that take features and context from stride 16 to stride 32."""

    def __init__(self, dim: int, out_dim: int, ctx_dim: int):
        super().__init__()
        self.x_proj = nn.Sequential(*conv3x3_bn(dim, out_dim, stride=2))
        self.h_proj = nn.Sequential(*conv3x3_bn(ctx_dim, ctx_dim, stride=2))

    def forward(self, x: Tensor, ctx: Tensor) -> tuple[Tensor, Tensor]:
        return self.x_proj(x), self.h_proj(ctx)


class FocusNet(nn.Module):
    """The closer look: dynamic blocks at strides 16 and 32 under the guidance of the overview."""

    def __init__(
        self, arch: Arch, rates: Iterator[float], use_checkpoint: Sequence[int], deploy: bool
    ):
        super().__init__()
        _, _, c3, c4 = arch.embed_dim
        self.use_checkpoint = use_checkpoint
        self.dims3, self.dims4 = (c3, arch.ctx_dim), (c4, arch.ctx_dim)
        self.high_level_proj = Conv1x1(c4, arch.ctx_dim)
        self.sub_blocks3 = dynamic_blocks(arch, 2, rates, deploy)
        self.patch_embedx = ContextEmbed(c3, c4, arch.ctx_dim)
        self.sub_blocks4 = dynamic_blocks(arch, 3, rates, deploy)

    def forward(self, x: Tensor, overview: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            x: Base-Net's map (B, C3, H/16, W/16).
            overview: (B, C4, H/32, W/32).

        Returns:
            Features and context at stride 16, (B, C3 + Cx, H/16, W/16), and the same at stride 32,
            the network's `focus` map (B, C4 + Cx, H/32, W/32).
        """
        ctx_ori = self.high_level_proj(overview)
        ctx = ctx_up = resize(ctx_ori, x.shape[2:])
        for i, block in enumerate(self.sub_blocks3):
            c4 = run(block, x, ctx, ctx_up, recompute=i < self.use_checkpoint[2])
            x, ctx = c4.split(self.dims3, dim=1)
        x, ctx = self.patch_embedx(x, ctx)
        for i, block in enumerate(self.sub_blocks4):
            focus = run(block, x, ctx, ctx_ori, recompute=i < self.use_checkpoint[3])
            x, ctx = focus.split(self.dims4, dim=1)
        return c4, focus


@MODELS.register_module()
class OverLoCK(BaseModule):
    """OverLoCK backbone for classification, detection and segmentation.

    Args:
        arch: 'xxt', 'xt', 't', 's', 'b', or a dict with the columns of :class:`Arch`.
        out_indices: None for the classification pair (focus, overview); otherwise which of the
            pyramid maps c2..c5 (indices 0..3, strides 4, 8, 16, 32) to return, in rising order.
        fuse_overview: The published detection form: the overview is added to c5.
        drop_path_rate: Rate of the last block; rises linearly from 0.
        use_checkpoint: Number of blocks per stage whose activations are recomputed in the backward
            pass (gradient checkpointing). The third count holds for blocks3 and for sub_blocks3,
            the fourth for blocks4 and for sub_blocks4.
        deploy: Build with merged large-kernel branches. Unmerged state dicts load as well.
        init_cfg: MMEngine's; ``dict(type='Pretrained', checkpoint=PATH_OR_URL)`` takes published
            files as they are, reports what was loaded and refuses a file that does not fit.

    Raises:
        ValueError: if an argument has a value that is not allowed.

    Inputs are (B, 3, H, W) with H and W at least 32, otherwise free. The output is always a tuple.
    `out_channels` holds the channels of the maps of that tuple.
    """

    def __init__(
        self,
        arch: str | dict = 't',
        out_indices: Sequence[int] | None = None,
        fuse_overview: bool = False,
        drop_path_rate: float = 0.0,
        use_checkpoint: Sequence[int] = (0, 0, 0, 0),
        deploy: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        arch = get_arch(arch)
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate={drop_path_rate}: 0 <= rate < 1 is needed')
        if len(use_checkpoint) != 4 or any(n < 0 for n in use_checkpoint):
            raise ValueError(f'use_checkpoint={use_checkpoint}: four counts >= 0 are needed')
        if out_indices is not None and (
            not out_indices or list(out_indices) != sorted(set(out_indices) & {0, 1, 2, 3})
        ):
            raise ValueError(f'out_indices={out_indices}: None or rising indices out of 0, 1, 2, 3')
        if fuse_overview and 3 not in (out_indices or ()):
            raise ValueError(f'fuse_overview=True needs map 3 in out_indices, not {out_indices}')

        self.arch = arch
        self.out_indices = out_indices
        self.fuse_overview = fuse_overview
        blocks = sum(arch.depth) + sum(arch.sub_depth)
        rates = (drop_path_rate * i / (blocks - 1) for i in range(blocks))
        self.base_net = BaseNet(arch, rates, use_checkpoint, deploy)
        self.overview_net = OverviewNet(arch, rates, use_checkpoint, deploy)
        self.focus_net = FocusNet(arch, rates, use_checkpoint, deploy)

        if out_indices is None:
            self.out_channels = (arch.out_channels[3], arch.embed_dim[3])
        else:
            self.out_channels = tuple(arch.out_channels[i] for i in out_indices)
            # Map 1's norm feeds stage 3, so it is there whether the map is returned or not.
            self.extra_norm = nn.ModuleDict(
                {str(i): LayerNorm2d(arch.out_channels[i]) for i in sorted({1, *out_indices})}
            )
        if fuse_overview:
            c4, c5 = arch.embed_dim[3], arch.out_channels[3]
            self.extra_norm['4'] = LayerNorm2d(c4)
            self.h_proj = nn.Sequential(Conv1x1(c4, c5), LayerScale(c5, 1e-5))

        self.apply(init_weights)
        self.register_load_state_dict_pre_hook(translate)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, 3, H, W), H and W at least 32.

        Returns:
            ``(focus, overview)``, both at stride 32, or the pyramid maps of `out_indices`.
        """
        if min(image.shape[2:]) < 32:
            raise ValueError(f'input of {tuple(image.shape[2:])} pixels: at least 32×32 are needed')
        image = best_layout(image)
        dense = self.out_indices is not None
        c2, c3, x = self.base_net(image, c3_norm=self.extra_norm['1'] if dense else None)
        overview = self.overview_net(x)
        c4, focus = self.focus_net(x, overview)
        if not dense:
            return focus, overview
        maps = {0: c2, 1: c3, 2: c4, 3: focus}
        # c3 comes normed out of Base-Net.
        outs = {
            i: maps[i] if i == 1 else self.extra_norm[str(i)](maps[i]) for i in self.out_indices
        }
        if self.fuse_overview:
            outs[3] = outs[3] + self.h_proj(self.extra_norm['4'](overview))
        return tuple(outs.values())

    def init_weights(self) -> None:
        """Load `init_cfg`'s weights, if it names some; the constructor did all the rest."""
        cfg = self.init_cfg
        if isinstance(cfg, dict) and cfg.get('type') == 'Pretrained' and 'prefix' not in cfg:
            load_official(self, cfg['checkpoint'])
            self._is_init = True
        else:
            super().init_weights()

    def reparameterize(self) -> None:
        """Merge the large-kernel branches in place; exact in evaluation mode."""
        for module in self.modules():
            if isinstance(module, DilatedReparam):
                module.reparameterize()

    @staticmethod
    def _checkpoint_filter(state_dict: dict, prefix: str, *args) -> None:
        """mmpretrain's ImageClassifier calls this before it loads a state dict."""
        classifier_names(state_dict, prefix)
