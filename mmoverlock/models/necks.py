"""Necks: CBAM attention, an FPN with it on every level, and pooling of a pyramid for classifiers.

They work under detectors, segmentors and classifiers alike: the FPN is torchvision's, which is
always there, and not mmdet's or mmseg's, which classification users need not have.
"""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork


@MODELS.register_module()
class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al., ECCV 2018, arXiv 1807.06521, section 3).

    First each channel, then each pixel is weighted, by what its mean and its maximum say:

        x ← x · σ(MLP(mean over pixels) + MLP(maximum over pixels))                  (equation 2)
        x ← x · σ(convolution of [mean over channels, maximum over channels])        (equation 3)

    Args:
        channels: Channels of the map.
        reduction: `channels` over the hidden channels of the MLP, which the two terms share.
        kernel_size: Of the convolution, odd.

    Raises:
        ValueError: if `reduction` does not divide `channels`, or `kernel_size` is even.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7):
        super().__init__()
        if channels < 1 or reduction < 1 or channels % reduction:
            raise ValueError(f'reduction={reduction}: a divisor of channels={channels} is needed')
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'kernel_size={kernel_size}: an odd number is needed')
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1, bias=False),
        )
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) in and out."""
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        x = x * (self.mlp(mean) + self.mlp(peak)).sigmoid()
        mean, peak = x.mean(1, keepdim=True), x.amax(1, keepdim=True)
        return x * self.conv(torch.cat([mean, peak], dim=1)).sigmoid()


@MODELS.register_module()
class CBAMFPN(BaseModule):
    """Feature pyramid network (arXiv 1612.03144), then CBAM on each level.

    Args:
        in_channels: Channels of the maps, from the finest to the coarsest.
        out_channels: Channels of all levels.
        num_outs: Number of maps to return; those beyond `in_channels` are the coarsest one, taken
            at every second pixel, as Mask R-CNN wants it. None: as many as come in.
        reduction: CBAM's.
        kernel_size: CBAM's.
        init_cfg: MMEngine's.

    Raises:
        ValueError: if an argument has a value that is not allowed.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        num_outs: int | None = None,
        reduction: int = 16,
        kernel_size: int = 7,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if not in_channels or min(in_channels) < 1:
            raise ValueError(f'in_channels={in_channels}: positive numbers are needed')
        if num_outs is not None and num_outs < len(in_channels):
            raise ValueError(f'num_outs={num_outs}: at least {len(in_channels)} are needed')
        self.in_channels = tuple(in_channels)
        self.extra = (num_outs or len(in_channels)) - len(in_channels)
        self.fpn = FeaturePyramidNetwork(list(in_channels), out_channels)
        self.cbam = nn.ModuleList(
            CBAM(out_channels, reduction, kernel_size) for _ in self.in_channels
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """
        Args:
            maps: One (B, C_i, H_i, W_i) for each of `in_channels`, from fine to coarse.

        Returns:
            `num_outs` maps of `out_channels`, of the sizes that came in, then halved.

        Raises:
            ValueError: if the number of maps is another.
        """
        if len(maps) != len(self.in_channels):
            raise ValueError(f'{len(maps)} maps: {len(self.in_channels)} are needed')
        levels = self.fpn({str(i): x for i, x in enumerate(maps)}).values()
        outs = [cbam(x) for cbam, x in zip(self.cbam, levels, strict=True)]
        for _ in range(self.extra):
            outs.append(outs[-1][:, :, ::2, ::2])
        return tuple(outs)


@MODELS.register_module()
class ConcatPooling(nn.Module):
    """Means of all maps side by side, one vector for mmpretrain's linear heads."""

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor]:
        """n maps (B, C, H_i, W_i) → one (B, n·C)."""
        return (torch.cat([x.mean((2, 3)) for x in maps], dim=1),)
