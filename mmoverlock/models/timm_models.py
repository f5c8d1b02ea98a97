"""OverLoCK by timm's names and conventions: ``timm.create_model('overlock_t', pretrained=True)``.

The network is :class:`OverLoCK`, which serves all tasks; the classifier's parameters have the names
of mmpretrain's classifier around it (``backbone.``, ``head.main.``), so that a checkpoint trained
with either library loads in the other. There is no auxiliary head: timm's losses take one tensor,
and a model returns the same in training and evaluation. The auxiliary head's weights in a file are
dropped. To train with it, take mmpretrain's configs.
"""

import os
from collections.abc import MutableMapping, Sequence
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import SelectAdaptivePool2d
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
    resolve_pretrained_cfg,
)
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from mmoverlock import environment
from mmoverlock.ops.dispatch import best_layout
from mmoverlock.utils.checkpoint import state_dict_of
from mmoverlock.utils.weights import find_weights

from .overlock.backbone import OverLoCK
from .overlock.checkpoint import classifier_names, match_state_dict
from .overlock.layers import Conv1x1, conv1x1_bn, init_weights

WEIGHTS = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1'
LAST = 3  # index of the last of the four maps


class OverLoCKClassifierHead(nn.Module):
    """The main classification head, without mmpretrain.

    Args:
        in_features: Channels of the map that it takes.
        hidden_size: Width of the projection; 0 leaves the projection out.
        num_classes: 0 leaves the classifier out.
        global_pool: Of timm's SelectAdaptivePool2d: 'avg', 'max', 'avgmax', 'catavgmax', or '' for
            none. Without pooling the classifier is applied at every position.
        drop_rate: Of the dropout before the classifier.
    """

    def __init__(
        self,
        in_features: int,
        hidden_size: int,
        num_classes: int,
        global_pool: str = 'avg',
        drop_rate: float = 0.0,
    ):
        super().__init__()
        layers = [*conv1x1_bn(in_features, hidden_size), nn.SiLU()] if hidden_size else []
        layers = layers or [nn.Identity() for _ in range(3)]
        self.width = hidden_size or in_features
        self.main = nn.Sequential(*layers, nn.Identity(), nn.Identity()).apply(init_weights)
        self.drop = nn.Dropout(drop_rate)
        self.reset(num_classes, global_pool)

    def reset(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier, and other pooling unless it is None."""
        if global_pool is not None:
            self.global_pool = global_pool
            self.main[3] = SelectAdaptivePool2d(pool_type=global_pool)
        self.num_features = self.width * self.main[3].feat_mult()
        self.main[4] = Conv1x1(self.num_features, num_classes) if num_classes else nn.Identity()
        self.main[4].apply(init_weights)
        self.main[3:].train(self.training)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, in_features, H, W) → logits, or what the classifier takes if `pre_logits`.

        Without pooling (B, ..., H, W), else (B, ...).
        """
        x = self.drop(self.main[:-1](x))
        x = x if pre_logits else self.main[4](x)
        return x.flatten(1) if self.global_pool else x


class TimmOverLoCK(nn.Module):
    """OverLoCK with the methods that timm's models have.

    Args:
        arch: See :class:`OverLoCK`.
        num_classes: 0 leaves the classifier out: the model gives features.
        in_chans: Channels of the image.
        global_pool: See :class:`OverLoCKClassifierHead`.
        drop_rate: Of the dropout before the classifier.
        drop_path_rate: See :class:`OverLoCK`.
        deploy: Build with merged large-kernel branches. Unmerged files load as well.

    Images are (B, in_chans, H, W) with H and W at least 32, otherwise free.
    """

    def __init__(
        self,
        arch: str | dict = 't',
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = 'avg',
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        deploy: bool = False,
    ):
        super().__init__()
        self.in_chans = in_chans
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.last = LAST  # the last map that is there, see prune_intermediate_layers()
        self.backbone = OverLoCK(
            arch, drop_path_rate=drop_path_rate, deploy=deploy, in_channels=in_chans
        )
        arch = self.backbone.arch
        # A stage's last block gives its map, so that forward hooks find it there.
        blocks = (
            f'base_net.blocks1.{arch.depth[0] - 1}',
            f'base_net.blocks2.{arch.depth[1] - 1}',
            f'focus_net.sub_blocks3.{arch.sub_depth[0] - 1}',
            f'focus_net.sub_blocks4.{arch.sub_depth[1] - 1}',
        )
        self.feature_info = [
            dict(num_chs=channels, reduction=4 << i, module=f'backbone.{block}')
            for i, (channels, block) in enumerate(zip(arch.out_channels, blocks, strict=True))
        ]
        self.num_features = arch.out_channels[LAST]
        self.head = OverLoCKClassifierHead(
            self.num_features, arch.projection, num_classes, global_pool, drop_rate
        )
        self.head_hidden_size = self.head.num_features
        self.register_load_state_dict_pre_hook(classifier_state)

    def no_weight_decay(self) -> set[str]:
        """Nothing but the one-dimensional parameters, which timm leaves out by itself."""
        return set()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that sort parameters by depth: stem, Base-Net, Overview-Net, Focus-Net.

        Args:
            coarse: Stages are groups; else blocks.
        """
        early = r'^backbone\.(?:base|overview)_net\.'
        focus = r'^backbone\.focus_net\.'
        return dict(
            stem=rf'{early}patch_embed1',
            blocks=[
                (rf'{early}patch_embed(\d)', None if coarse else (0,)),
                (rf'{early}blocks(\d)' + ('' if coarse else r'\.(\d+)'), None),
            ],
            focus=[
                (rf'{focus}high_level_proj', (3,) if coarse else (3, 0)),
                (rf'{focus}patch_embedx', (4,) if coarse else (4, 0)),
                (rf'{focus}sub_blocks(\d)' + ('' if coarse else r'\.(\d+)'), None),
            ],
        )

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of all blocks in the backward pass, or of none."""
        arch = self.backbone.arch
        count = sum(arch.depth) + sum(arch.sub_depth) if enable else 0
        for net in self.backbone.children():
            net.use_checkpoint = (count,) * 4

    def get_classifier(self) -> nn.Module:
        return self.head.main[4]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier for `num_classes` (0: none), and other pooling unless it is None."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)
        self.head.to(next(self.parameters()))
        self.head_hidden_size = self.head.num_features

    def forward_maps(self, x: Tensor, last: int) -> list[Tensor]:
        """The maps c2, c3, c4, c5, at least up to index `last`; they are the stages' outputs."""
        if any(length < 32 for length in x.shape[2:]):
            raise ValueError(f'input of {tuple(x.shape[2:])} pixels: at least 32×32 are needed')
        net = self.backbone
        maps = net.base_net(best_layout(x))
        if last < 2:
            return maps
        return [*maps[:2], *net.focus_net(maps[2], net.overview_net(maps[2]))]

    def forward_features(self, x: Tensor) -> Tensor:
        """Image → focus map (B, num_features, H/32, W/32)."""
        return self.forward_maps(x, self.last)[self.last]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Focus map → logits, or (B, head_hidden_size) if `pre_logits`."""
        return self.head(x, pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        """Image → logits (B, num_classes), also in training."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps c2..c5 of a classifier: unlike those of detectors, without norms.

        Args:
            x: Image.
            indices: Which maps of 0..3 (strides 4, 8, 16, 32); a number: so many of the last ones;
                None: all.
            norm: Has no effect: the classifier has no norm after its stages.
            stop_early: Compute no more than is needed.
            output_fmt: 'NCHW' alone.
            intermediates_only: Leave out the last map that was computed.

        Returns:
            That map, and the list of those in `indices`.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f"output_fmt='{output_fmt}': only 'NCHW' is allowed")
        indices, last = feature_take_indices(self.last + 1, indices)
        maps = self.forward_maps(x, last if stop_early or intermediates_only else self.last)
        # Decoders call .view(), which PyTorch's usual layout allows.
        chosen = [maps[i].contiguous() for i in indices]
        return chosen if intermediates_only else (maps[-1], chosen)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Remove what the maps `indices` do not need; return them counted from 0.

        The head goes, too, if `prune_head` or if it has lost its map. `prune_norm` has no effect.
        """
        indices, last = feature_take_indices(self.last + 1, indices)
        net = self.backbone
        if last < 2 <= self.last:
            del net.overview_net, net.focus_net
        elif last == 2 < self.last:
            del net.focus_net.patch_embedx, net.focus_net.sub_blocks4
            net.focus_net.stages = 1
        for stage in range(last + 1, net.base_net.stages):
            delattr(net.base_net, f'patch_embed{stage + 1}')
            delattr(net.base_net, f'blocks{stage + 1}')
        net.base_net.stages = min(last + 1, net.base_net.stages)
        if prune_head or last < self.last:
            self.num_classes = 0
            self.num_features = self.head_hidden_size = self.feature_info[last]['num_chs']
            self.head = OverLoCKClassifierHead(self.num_features, 0, 0, '').train(self.training)
        self.last = last
        return indices


def classifier_state(model: nn.Module, state_dict: MutableMapping, prefix: str, *_: Any) -> None:
    """Bring a file's names into a classifier's, in place, without the auxiliary head.

    A load-state-dict pre-hook; the backbone's own translates the rest.
    """
    classifier_names(state_dict, prefix)
    for name in [name for name in state_dict if name.startswith(f'{prefix}head.aux.')]:
        del state_dict[name]


def checkpoint_filter_fn(state_dict: MutableMapping, model: TimmOverLoCK) -> dict[str, Tensor]:
    """A published file, or one of ours, in the names of `model`.

    Raises:
        ValueError: if it is of another architecture, or merged while the model is not.
    """
    state = dict(state_dict_of(state_dict))
    match_state_dict(model.backbone, state)
    classifier_state(model, state, '')
    return state


def _cfg(file: str | None = None, **values: Any) -> dict[str, Any]:
    return (
        dict(
            url=f'{WEIGHTS}/{file}' if file else '',
            num_classes=1000,
            input_size=(3, 224, 224),
            pool_size=(7, 7),
            interpolation='bicubic',
            mean=IMAGENET_DEFAULT_MEAN,
            std=IMAGENET_DEFAULT_STD,
            first_conv='backbone.base_net.patch_embed1.0',
            classifier='head.main.4',
            paper_ids='arXiv:2502.20087',
            paper_name='OverLoCK: An Overview-first-Look-Closely-next ConvNet with Context-Mixing '
            'Dynamic Kernels',
            origin_url='https://github.com/LMMMEng/OverLoCK',
        )
        | values
    )


default_cfgs = generate_default_cfgs(
    {
        'overlock_xxt.untrained': _cfg(crop_pct=0.925),
        'overlock_xt.in1k': _cfg('overlock_xt_in1k_224.pth', crop_pct=0.925),
        'overlock_t.in1k': _cfg('overlock_t_in1k_224.pth', crop_pct=0.95),
        'overlock_s.in1k': _cfg('overlock_s_in1k_224.pth', crop_pct=0.95),
        'overlock_b.in1k': _cfg('overlock_b_in1k_224.pth', crop_pct=0.975),
    }
)


def _create(
    variant: str,
    pretrained: bool,
    pretrained_cfg: str | dict[str, Any] | None = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    cache_dir: str | os.PathLike | None = None,
    **kwargs: Any,
) -> nn.Module:
    cfg = resolve_pretrained_cfg(variant, pretrained_cfg, pretrained_cfg_overlay)
    overlay, found = dict(pretrained_cfg_overlay or {}), None
    elsewhere = cfg.file or cfg.state_dict or cfg.hf_hub_id or cfg.source
    if pretrained and (cfg.url or '').startswith(WEIGHTS) and not elsewhere:
        found, _ = find_weights(cfg.url, environment.weights(), cache_dir)
        overlay['file'] = str(found)
    model = build_model_with_cfg(
        TimmOverLoCK,
        variant,
        pretrained,
        pretrained_cfg,
        overlay,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg=dict(out_indices=tuple(range(LAST + 1)), feature_cls='getter'),
        cache_dir=cache_dir,
        **dict(arch=variant.removeprefix('overlock_')) | kwargs,
    )
    if found is not None:
        model.pretrained_cfg.pop('file')  # a place on this machine
    return model


@register_model
def overlock_xxt(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """OverLoCK-XXT, for small images and a CPU; there are no published weights."""
    return _create('overlock_xxt', pretrained, **kwargs)


@register_model
def overlock_xt(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """OverLoCK-XT."""
    return _create('overlock_xt', pretrained, **kwargs)


@register_model
def overlock_t(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """OverLoCK-T."""
    return _create('overlock_t', pretrained, **kwargs)


@register_model
def overlock_s(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """OverLoCK-S."""
    return _create('overlock_s', pretrained, **kwargs)


@register_model
def overlock_b(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """OverLoCK-B."""
    return _create('overlock_b', pretrained, **kwargs)
