"""VOLO, the vision outlooker (Yuan et al. 2021, arXiv 2106.13112), on timm's blocks.

    image → patches + positions → levels → pooling
    level = Outlookers, Transformers, and a downsampling where another level follows

Outlookers mix each position's neighbourhood, Transformers the whole map. Flat VOLO is one level, a
pyramid several. The blocks are those of `timm.models.volo` (Apache-2.0); beyond them there is no
stem before the patch embedding here, and the positions are added before the first block. For the
ImageNet sizes d1 to d5 with their weights, use timm's own VOLO by mmpretrain's `TimmClassifier`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from timm.models.volo import ClassBlock, Downsample, Outlooker, Transformer
from torch import Tensor, nn

from .conventions import check_frozen_stages, freeze, join_gradients, resolve_indices, run
from .overlock.any_size import is_symbolic
from .overlock.arch import find_arch
from .overlock.layers import init_weights, resize

POOLINGS = ('mean', 'cls', 'cli')


@dataclass(frozen=True)
class VOLOArch:
    """One size of VOLO. Its first four columns have an entry for every level.

    Args:
        dims: Channels.
        outlookers: Number of Outlooker blocks.
        transformers: Number of Transformer blocks.
        heads: Attention heads of either kind; they must divide the channels.
        kernel_size: Window of outlook attention, odd.
        stride: Distance of the positions at which outlook attention is computed (1 is the paper's
            formula, section 3.1; the ImageNet sizes take 2).
        mlp_ratio: Hidden over input channels.
        class_blocks: Number of class-attention blocks in 'cls' and 'cli' pooling.

    Raises:
        ValueError: if a column has the wrong length or a value the architecture cannot have.
    """

    dims: tuple[int, ...]
    outlookers: tuple[int, ...]
    transformers: tuple[int, ...]
    heads: tuple[int, ...]
    kernel_size: int = 3
    stride: int = 1
    mlp_ratio: float = 4.0
    class_blocks: int = 2

    def __post_init__(self):
        for name in ('dims', 'outlookers', 'transformers', 'heads'):
            value = tuple(getattr(self, name))
            least = 0 if name.endswith('ers') else 1
            if not value or len(value) != len(tuple(self.dims)) or any(v < least for v in value):
                raise ValueError(
                    f'arch {name}={value}: a number >= {least} is needed for each level of '
                    f'dims={tuple(self.dims)}'
                )
            object.__setattr__(self, name, value)
        for dim, heads in zip(self.dims, self.heads, strict=True):
            if dim % heads:
                raise ValueError(f'arch heads={self.heads}: {heads} does not divide {dim}')
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f'arch kernel_size={self.kernel_size}: an odd number is needed')
        for name, least in (('stride', 1), ('mlp_ratio', 0.01), ('class_blocks', 1)):
            if getattr(self, name) < least:
                raise ValueError(f'arch {name}={getattr(self, name)}: at least {least} is needed')


VOLO_ARCHS = {
    'flat': VOLOArch((192,), outlookers=(4,), transformers=(6,), heads=(6,)),
    'pyramid': VOLOArch((192, 256, 384), (2, 2, 0), (0, 2, 2), heads=(6, 8, 12)),
}


class MapDownsample(Downsample):
    """Strided 2×2 convolution; an odd map is padded by zeros on the right and at the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, ⌈H/2⌉, ⌈W/2⌉, C')."""
        _, height, width, _ = x.shape
        return super().forward(F.pad(x, (0, 0, 0, width % 2, 0, height % 2)))


class TokenDownsample(nn.Module):
    """Mean of every 2×2 tokens (of those there are, at the border), linearly projected."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.proj = nn.Linear(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, ⌈H/2⌉, ⌈W/2⌉, C')."""
        pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), 2, ceil_mode=True)
        return self.proj(pooled.permute(0, 2, 3, 1))


DOWNSAMPLES = {'map': MapDownsample, 'token': TokenDownsample}


class Pooling(nn.Module):
    """One vector from all tokens.

    - mean: LayerNorm of the tokens, their mean;
    - cls: a learned class token that reads the tokens in class-attention blocks (CaiT, arXiv
      2103.17239, section 2.2);
    - cli: alpha · cls + (1 - alpha) · mean, with one learned alpha that starts at 0.5;

    and a last LayerNorm.
    """

    def __init__(self, kind: str, dim: int, heads: int, arch: VOLOArch):
        super().__init__()
        self.kind = kind
        if kind != 'cls':
            self.token_norm = nn.LayerNorm(dim)
        if kind != 'mean':
            self.cls_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
            blocks = (
                ClassBlock(dim, heads, mlp_ratio=arch.mlp_ratio) for _ in range(arch.class_blocks)
            )
            self.class_blocks = nn.Sequential(*blocks)
        if kind == 'cli':
            self.alpha = nn.Parameter(torch.full((1,), 0.5))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, C)."""
        if self.kind == 'mean':
            return self.norm(self.token_norm(tokens).mean(1))
        cls_token = self.cls_token.expand(len(tokens), -1, -1)
        cls = self.class_blocks(torch.cat([cls_token, tokens], dim=1))[:, 0]
        if self.kind == 'cli':
            cls = self.alpha * cls + (1 - self.alpha) * self.token_norm(tokens).mean(1)
        return self.norm(cls)


@MODELS.register_module()
class VOLO(BaseModule):
    """VOLO backbone for classification, or for FPN and UPerNet as a pyramid.

    Args:
        arch: 'flat', 'pyramid' (sizes for CIFAR-100), or a dict with the columns of
            :class:`VOLOArch`.
        pooling: 'mean', 'cls' or 'cli', see :class:`Pooling`.
        downsample: Between levels: 'map', a strided 2×2 convolution, or 'token', pooling and a
            linear projection.
        img_size: Pixels (of a side, or height and width) for which the position table is made; on
            inputs of another size it is resized bilinearly.
        patch_size: Side of a patch, in pixels.
        in_channels: Channels of the image.
        drop_rate: Dropout after the positions are added.
        drop_path_rate: Rate of the last level's last block; rises linearly from 0 over all
            Outlookers and Transformers. Class-attention blocks have none, as in CaiT.
        out_indices: None for one pooled vector; otherwise which levels' maps to return, in rising
            order; -1 is the last. Level i has stride ``patch_size · 2^i``. What lies behind the
            last of them is not built.
        init_cfg: MMEngine's.
        with_cp: Recompute the activations of all blocks in the backward pass (gradient
            checkpointing).
        frozen_stages: Parts that are not trained and stay in evaluation mode: -1 none, 0 the
            embedding of patches and positions, i also the first i levels.
        norm_eval: For the sake of configs: VOLO has no batch norms, so this changes nothing.

    Raises:
        ValueError: if an argument has a value that is not allowed.

    Inputs are (B, in_channels, H, W) of any size; where the patch size, or 2 on a level, does not
    divide, maps are padded on the right and at the bottom. The output is always a tuple.
    `out_channels` holds the channels of the vector or maps of that tuple.
    """

    def __init__(
        self,
        arch: str | dict = 'flat',
        pooling: str = 'mean',
        downsample: str = 'map',
        img_size: int | Sequence[int] = 32,
        patch_size: int = 4,
        in_channels: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] | None = None,
        init_cfg: dict | list[dict] | None = None,
        *,
        with_cp: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
    ):
        super().__init__(init_cfg)
        arch = find_arch(arch, VOLOArch, VOLO_ARCHS)
        levels = range(len(arch.dims))
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        if pooling not in POOLINGS:
            raise ValueError(f'pooling={pooling!r}: allowed are {POOLINGS}')
        if downsample not in DOWNSAMPLES:
            raise ValueError(f'downsample={downsample!r}: allowed are {tuple(DOWNSAMPLES)}')
        if min(height, width, patch_size, in_channels) < 1:
            raise ValueError(
                f'img_size={img_size}, patch_size={patch_size}, in_channels={in_channels}: '
                'positive numbers are needed'
            )
        for name, rate in dict(drop_rate=drop_rate, drop_path_rate=drop_path_rate).items():
            if not 0 <= rate < 1:
                raise ValueError(f'{name}={rate}: 0 <= rate < 1 is needed')
        check_frozen_stages(frozen_stages, last=len(levels))
        if out_indices is not None:
            out_indices = resolve_indices(out_indices, len(levels))
            levels = levels[: out_indices[-1] + 1]

        self.arch = arch
        self.patch_size = patch_size
        self.out_indices = out_indices
        self.with_cp = with_cp
        self.frozen_stages = frozen_stages
        dim, grid = arch.dims[0], (-(-height // patch_size), -(-width // patch_size))
        self.patch_embed = nn.Conv2d(in_channels, dim, patch_size, patch_size)
        self.patch_norm = nn.LayerNorm(dim)
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, *grid, dim), std=0.02))
        self.pos_drop = nn.Dropout(drop_rate)

        blocks = sum(arch.outlookers) + sum(arch.transformers)
        rates = (drop_path_rate * i / max(blocks - 1, 1) for i in range(blocks))
        self.levels = nn.ModuleList(self._level(i, rates) for i in levels).apply(init_weights)
        self.downsamples = nn.ModuleList(
            DOWNSAMPLES[downsample](*arch.dims[i : i + 2]) for i in levels[:-1]
        )
        if out_indices is None:
            self.pool = Pooling(pooling, arch.dims[-1], arch.heads[-1], arch).apply(init_weights)
            self.out_channels = arch.dims[-1:]
        else:
            self.out_channels = tuple(arch.dims[i] for i in out_indices)
        freeze(self.frozen_modules())
        self.pos_embed.requires_grad_(frozen_stages < 0)

    def _level(self, i: int, rates: Iterator[float]) -> nn.Sequential:
        arch = self.arch
        common = dict(dim=arch.dims[i], num_heads=arch.heads[i], mlp_ratio=arch.mlp_ratio)
        k = arch.kernel_size
        window = dict(kernel_size=k, padding=k // 2, stride=arch.stride)
        kinds = [partial(Outlooker, **common, **window)] * arch.outlookers[i]
        kinds += [partial(Transformer, **common)] * arch.transformers[i]
        return nn.Sequential(*(kind(drop_path=next(rates)) for kind in kinds))

    def embed(self, image: Tensor) -> Tensor:
        """(B, in_channels, H, W) → patches with their positions (B, ⌈H/p⌉, ⌈W/p⌉, C)."""
        height, width = image.shape[2:]
        image = F.pad(image, (0, -width % self.patch_size, 0, -height % self.patch_size))
        x = self.patch_norm(self.patch_embed(image).permute(0, 2, 3, 1))
        positions = self.pos_embed
        size = x.shape[1:3]
        if is_symbolic(*size) or positions.shape[1:3] != size:  # to its own size it is the same
            positions = resize(positions.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
        return self.pos_drop(x + positions)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, in_channels, H, W).

        Returns:
            The pooled vector (B, C), or the maps (B, C, H', W') of the levels of `out_indices`.
        """
        x = self.embed(image)
        maps = []
        for i, level in enumerate(self.levels):
            if i:
                x = self.downsamples[i - 1](x)
            for block in level:
                x = run(block, x, recompute=self.with_cp)
            maps.append(x)
        if self.out_indices is None:
            return (self.pool(x.flatten(1, 2)),)
        return join_gradients([maps[i].permute(0, 3, 1, 2).contiguous() for i in self.out_indices])

    def frozen_modules(self) -> list[nn.Module]:
        """What `frozen_stages` freezes, but for the table of positions."""
        if self.frozen_stages < 0:
            return []
        levels = self.frozen_stages
        return [
            self.patch_embed,
            self.patch_norm,
            self.pos_drop,
            *self.levels[:levels],
            *self.downsamples[: max(levels - 1, 0)],
        ]

    def train(self, mode: bool = True) -> 'VOLO':
        """Training mode, but for what is frozen; or evaluation mode."""
        super().train(mode)
        for module in self.frozen_modules() if mode else ():
            module.eval()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """The layer of a parameter, and the number of layers, for layer-wise learning rates.

        The embedding of patches and positions is layer 0, every block is one, the pooling the last
        but one.

        Args:
            param_name: Name in a model.
            prefix: Of the backbone's parameters in it. All others belong to the last layer.
        """
        starts = [*accumulate((len(level) for level in self.levels), initial=1)]
        number = starts[-1] + 2
        if not param_name.startswith(prefix):
            return number - 1, number
        part, level, block, *_ = f'{param_name.removeprefix(prefix)}...'.split('.')
        if part == 'levels':
            return starts[int(level)] + int(block), number
        if part == 'downsamples':
            return starts[int(level) + 1], number
        return (starts[-1] if part == 'pool' else 0), number
