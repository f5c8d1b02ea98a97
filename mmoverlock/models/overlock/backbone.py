"""OverLoCK: overview first, then a closer look (CVPR 2025, arXiv 2502.20087).

    image → BaseNet → OverviewNet → FocusNet

Base-Net sees the image at strides 4, 8 and 16. Overview-Net looks at the whole of it, coarsely, at
stride 32. Focus-Net looks again at Base-Net's map, its convolution kernels mixed under the guidance
of that overview. One class serves classification, detection and segmentation; the differences
between the published networks are the flags `out_indices` and `fuse_overview`.
"""

from collections.abc import Iterator, Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmoverlock.ops.dispatch import best_layout
from mmoverlock.utils.config import PRETRAINED, type_name

from ..conventions import (
    check_frozen_stages,
    configure_norms,
    eval_norms,
    freeze,
    join_gradients,
    resolve_indices,
    run,
)
from .arch import Arch, get_arch
from .blocks import DynamicBlock, RepConvBlock
from .checkpoint import classifier_names, load_official, translate
from .layer_depth import layer_depth
from .layers import GELU, Conv1x1, LayerNorm2d, LayerScale, conv3x3_bn, init_weights, resize
from .reparam import reparameterize


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
    """Low and mid-level features at strides 4, 8 and 16: as many stages as `stages` says."""

    def __init__(
        self,
        arch: Arch,
        rates: Iterator[float],
        use_checkpoint: Sequence[int],
        deploy: bool,
        in_channels: int,
        stages: int,
    ):
        super().__init__()
        c1, c2, c3, _ = arch.embed_dim
        self.use_checkpoint = use_checkpoint
        self.stages = stages
        self.patch_embed1 = nn.Sequential(
            *conv3x3_bn(in_channels, c1 // 2, stride=2),
            GELU(),
            *conv3x3_bn(c1 // 2, c1 // 2, stride=1),
            GELU(),
            *conv3x3_bn(c1 // 2, c1, stride=2),
            GELU(),
            *conv3x3_bn(c1, c1, stride=1),
        )
        self.blocks1 = rep_blocks(arch, 0, rates, deploy)
        if stages > 1:
            self.patch_embed2 = nn.Sequential(*conv3x3_bn(c1, c2, stride=2))
            self.blocks2 = rep_blocks(arch, 1, rates, deploy)
        if stages > 2:
            self.patch_embed3 = nn.Sequential(*conv3x3_bn(c2, c3, stride=2))
            self.blocks3 = rep_blocks(arch, 2, rates, deploy)

    def forward(self, image: Tensor, c3_norm: nn.Module | None = None) -> list[Tensor]:
        """
        Args:
            image: (B, in_channels, H, W).
            c3_norm: Norm between stages 2 and 3, which the dense-prediction networks have.

        Returns:
            Maps at strides 4 (C1), 8 (C2, normed if `c3_norm` is given) and 16 (C3), as many as
            there are stages.
        """
        maps, x = [], image
        for stage in range(self.stages):
            x = getattr(self, f'patch_embed{stage + 1}')(x)
            for i, block in enumerate(getattr(self, f'blocks{stage + 1}')):
                x = run(block, x, recompute=i < self.use_checkpoint[stage])
            if stage == 1 and c3_norm is not None:
                x = c3_norm(x)
            maps.append(x)
        return maps


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
    """The closer look: dynamic blocks at strides 16 and 32 under the guidance of the overview.

    Stride 32 is left out if `stages` is 1.
    """

    def __init__(
        self,
        arch: Arch,
        rates: Iterator[float],
        use_checkpoint: Sequence[int],
        deploy: bool,
        stages: int,
    ):
        super().__init__()
        _, _, c3, c4 = arch.embed_dim
        self.use_checkpoint = use_checkpoint
        self.stages = stages
        self.dims3, self.dims4 = (c3, arch.ctx_dim), (c4, arch.ctx_dim)
        self.high_level_proj = Conv1x1(c4, arch.ctx_dim)
        self.sub_blocks3 = dynamic_blocks(arch, 2, rates, deploy)
        if stages > 1:
            self.patch_embedx = ContextEmbed(c3, c4, arch.ctx_dim)
            self.sub_blocks4 = dynamic_blocks(arch, 3, rates, deploy)

    def forward(self, x: Tensor, overview: Tensor) -> list[Tensor]:
        """
        Args:
            x: Base-Net's map (B, C3, H/16, W/16).
            overview: (B, C4, H/32, W/32).

        Returns:
            Features and context at stride 16, (B, C3 + Cx, H/16, W/16), and, unless it is left out,
            the same at stride 32, the network's `focus` map (B, C4 + Cx, H/32, W/32).
        """
        ctx_ori = self.high_level_proj(overview)
        ctx = ctx_up = resize(ctx_ori, x.shape[2:])
        for i, block in enumerate(self.sub_blocks3):
            c4 = run(block, x, ctx, ctx_up, recompute=i < self.use_checkpoint[2])
            x, ctx = c4.split(self.dims3, dim=1)
        if self.stages == 1:
            return [c4]
        x, ctx = self.patch_embedx(x, ctx)
        for i, block in enumerate(self.sub_blocks4):
            focus = run(block, x, ctx, ctx_ori, recompute=i < self.use_checkpoint[3])
            x, ctx = focus.split(self.dims4, dim=1)
        return [c4, focus]


@MODELS.register_module()
class OverLoCK(BaseModule):
    """OverLoCK backbone for classification, detection and segmentation.

    Args:
        arch: 'xxt', 'xt', 't', 's', 'b', or a dict with the columns of :class:`Arch`.
        out_indices: None for the classification pair (focus, overview), made for OverLoCKHead:
            other heads take the last map, and so would train the overview alone. Otherwise which of
            the pyramid maps c2..c5 (indices 0..3, strides 4, 8, 16, 32) to return, in rising order;
            -1 is the last. What none of them needs is not built: without map 3, Focus-Net ends at
            stride 16. Published weights load all the same.
        fuse_overview: The published detection form: the overview is added to c5.
        drop_path_rate: Rate of the last block; rises linearly from 0.
        use_checkpoint: Number of blocks per stage whose activations are recomputed in the backward
            pass (gradient checkpointing). The third count holds for blocks3 and for sub_blocks3,
            the fourth for blocks4 and for sub_blocks4.
        with_cp: Recompute those of all blocks.
        in_channels: Channels of the image. Published weights, of 3 channels, are adapted as timm
            does it: repeated and scaled, or summed for one channel.
        frozen_stages: Parts that are not trained and stay in evaluation mode: -1 none, 0 the first
            patch embedding, 1 to 3 also the stages of Base-Net up to this one, 4 all.
        norm_eval: Batch norms stay in evaluation mode, as one wants for one or two images a GPU.
        norm_cfg: Of the batch norms: ``type`` 'BN' or 'SyncBN' (mmcv's 'MMSyncBN' is the same),
            ``requires_grad`` False to fix scale and shift, ``momentum``. None: 'BN'.
        contiguous: Give a pyramid's maps PyTorch's usual layout, which heads that call ``.view``
            need. False leaves them channels_last on the CPU, which spares copies and suits the
            convolutions of an FPN.
        deploy: Build with merged large-kernel branches. Unmerged state dicts load as well.
        init_cfg: MMEngine's; ``dict(type='Pretrained', checkpoint=PATH_OR_URL)`` takes published
            files as they are, reports what was loaded and refuses a file that does not fit.

    Raises:
        ValueError: if an argument has a value that is not allowed.

    Inputs are (B, in_channels, H, W) with H and W at least 32, otherwise free. The output is always
    a tuple. `out_channels` holds the channels of the maps of that tuple.
    """

    def __init__(
        self,
        arch: str | dict = 't',
        out_indices: int | Sequence[int] | None = None,
        fuse_overview: bool = False,
        drop_path_rate: float = 0.0,
        use_checkpoint: Sequence[int] = (0, 0, 0, 0),
        deploy: bool = False,
        init_cfg: dict | list[dict] | None = None,
        *,
        with_cp: bool = False,
        in_channels: int = 3,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        norm_cfg: dict | None = None,
        contiguous: bool = True,
    ):
        super().__init__(init_cfg)
        arch = get_arch(arch)
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f'drop_path_rate={drop_path_rate}: 0 <= rate < 1 is needed')
        if len(use_checkpoint) != 4 or any(n < 0 for n in use_checkpoint):
            raise ValueError(f'use_checkpoint={use_checkpoint}: four counts >= 0 are needed')
        if in_channels < 1:
            raise ValueError(f'in_channels={in_channels}: a positive number is needed')
        check_frozen_stages(frozen_stages, last=4)
        if out_indices is not None:
            out_indices = resolve_indices(out_indices, 4)
        if fuse_overview and 3 not in (out_indices or ()):
            raise ValueError(f'fuse_overview=True needs map 3 in out_indices, not {out_indices}')

        self.arch = arch
        self.out_indices = out_indices
        self.fuse_overview = fuse_overview
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.contiguous = contiguous
        blocks = sum(arch.depth) + sum(arch.sub_depth)
        rates = (drop_path_rate * i / (blocks - 1) for i in range(blocks))
        last = 3 if out_indices is None else out_indices[-1]
        common = arch, rates, (blocks,) * 4 if with_cp else use_checkpoint, deploy
        self.base_net = BaseNet(*common, in_channels, stages=min(last + 1, 3))
        if last > 1:
            self.overview_net = OverviewNet(*common)
            self.focus_net = FocusNet(*common, stages=last - 1)

        if out_indices is None:
            self.out_channels = (arch.out_channels[3], arch.embed_dim[3])
        else:
            self.out_channels = tuple(arch.out_channels[i] for i in out_indices)
            # Map 1's norm feeds stage 3, so it is there whether the map is returned or not.
            normed = {*out_indices, 1} if last else out_indices
            self.extra_norm = nn.ModuleDict(
                {str(i): LayerNorm2d(arch.out_channels[i]) for i in sorted(normed)}
            )
        if fuse_overview:
            c4, c5 = arch.embed_dim[3], arch.out_channels[3]
            self.extra_norm['4'] = LayerNorm2d(c4)
            self.h_proj = nn.Sequential(Conv1x1(c4, c5), LayerScale(c5, 1e-5))

        configure_norms(self, norm_cfg or {})
        self.apply(init_weights)
        self.register_load_state_dict_pre_hook(translate)
        freeze(self.frozen_modules())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, in_channels, H, W), H and W at least 32.

        Returns:
            ``(focus, overview)``, both at stride 32, or the pyramid maps of `out_indices`.
        """
        if any(length < 32 for length in image.shape[2:]):
            raise ValueError(f'input of {tuple(image.shape[2:])} pixels: at least 32×32 are needed')
        image = best_layout(image)
        if self.out_indices is None:
            *_, x = self.base_net(image)
            overview = self.overview_net(x)
            return self.focus_net(x, overview)[1], overview
        norms = self.extra_norm
        *maps, x = self.base_net(image, c3_norm=norms['1'] if '1' in norms else None)
        if len(maps) < 2:
            maps = [*maps, x]
        else:
            overview = self.overview_net(x)
            maps = [*maps, *self.focus_net(x, overview)]
        # c3 comes normed out of Base-Net.
        outs = [maps[i] if i == 1 else norms[str(i)](maps[i]) for i in self.out_indices]
        if self.fuse_overview:
            outs[-1] = outs[-1] + self.h_proj(norms['4'](overview))
        if self.contiguous:
            outs = [out.contiguous() for out in outs]
        return join_gradients(outs)

    def frozen_modules(self) -> list[nn.Module]:
        """What `frozen_stages` freezes."""
        if self.frozen_stages == 4:
            return [self]
        modules = [self.base_net.patch_embed1] if self.frozen_stages >= 0 else []
        for stage in range(min(self.frozen_stages, self.base_net.stages)):
            net = self.base_net
            modules += [getattr(net, f'patch_embed{stage + 1}'), getattr(net, f'blocks{stage + 1}')]
            if stage < 2 and str(stage) in getattr(self, 'extra_norm', ()):
                modules.append(self.extra_norm[str(stage)])
        return modules

    def train(self, mode: bool = True) -> 'OverLoCK':
        """Training mode, but for what is frozen; or evaluation mode."""
        super().train(mode)
        if mode:
            for module in self.frozen_modules():
                module.eval()
            if self.norm_eval:
                eval_norms(self)
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """The layer of a parameter, and the number of layers; see :mod:`.layer_depth`.

        Args:
            param_name: Name in a model.
            prefix: Of the backbone's parameters in it. All others belong to the last layer.
        """
        layer, number = layer_depth(self.arch, param_name.removeprefix(prefix))
        return (layer if param_name.startswith(prefix) else number - 1), number

    def init_weights(self) -> None:
        """Load `init_cfg`'s weights, if it names some; the constructor did all the rest."""
        cfg = self.init_cfg
        if isinstance(cfg, dict) and type_name(cfg) in PRETRAINED and 'prefix' not in cfg:
            load_official(self, cfg['checkpoint'])
            self._is_init = True
        else:
            super().init_weights()

    def reparameterize(self) -> None:
        """Merge the large-kernel branches in place; exact in evaluation mode."""
        reparameterize(self)

    @staticmethod
    def _checkpoint_filter(state_dict: dict, prefix: str, *args) -> None:
        """mmpretrain's ImageClassifier calls this before it loads a state dict."""
        classifier_names(state_dict, prefix)
