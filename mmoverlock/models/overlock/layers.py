"""Small layers of OverLoCK. Parameter names are those of the published state dicts."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import convnext

from mmoverlock.ops import GELU, GRN, Conv1x1, ResDWConv, conv_mlp
from mmoverlock.ops.arguments import has_hooks
from mmoverlock.ops.conv1x1 import FEW_PIXELS
from mmoverlock.ops.dispatch import may_overwrite, reference_mode

# Over the channels of every pixel of a (B, C, H, W) map.
LayerNorm2d = partial(convnext.LayerNorm2d, eps=1e-6)


class LayerScale(nn.Module):
    """Per-channel weight and bias of a (B, C, H, W) map; the weight is stored as (C, 1, 1, 1)."""

    def __init__(self, dim: int, init_value: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim, 1, 1, 1), init_value))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return torch.addcmul(bias.view(-1, 1, 1), x, weight.view(-1, 1, 1))


def layer_scale(dim: int, init_value: float | None) -> nn.Module:
    """LayerScale that starts at `init_value`; None leaves it out."""
    return nn.Identity() if init_value is None else LayerScale(dim, init_value)


class SE(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507) with max(16, C // 8) hidden channels and GELU."""

    def __init__(self, dim: int):
        super().__init__()
        hidden = max(16, dim // 8)
        self.proj = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            Conv1x1(dim, hidden),
            nn.GELU(),
            Conv1x1(hidden, dim),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        scale = self.proj(x) if self._needs_layers() else self._excitation(x)
        return x.mul_(scale) if may_overwrite() else x * scale

    def _needs_layers(self) -> bool:
        """Whether the layers must be called: they are no longer ours, or something watches them."""
        kinds = [nn.AdaptiveAvgPool2d, Conv1x1, nn.GELU, Conv1x1, nn.Sigmoid]
        replaced = [type(layer) for layer in self.proj] != kinds
        return replaced or has_hooks(self.proj, *self.proj) or reference_mode()

    def _excitation(self, x: Tensor) -> Tensor:
        """What `proj` gives, by products of matrices: a pixel is too small for convolutions."""
        _, squeeze, _, expand, _ = self.proj
        y = F.linear(x.mean((2, 3)), squeeze.weight.flatten(1), squeeze.bias)
        y = F.linear(F.gelu(y), expand.weight.flatten(1), expand.bias)
        return y.sigmoid()[:, :, None, None]


def mlp_layers(dim: int, hidden: int) -> list[nn.Module]:
    """The layers of :func:`mmoverlock.ops.conv_mlp`."""
    dwconv = ResDWConv(hidden, inplace=True)
    return [Conv1x1(dim, hidden), GELU(), dwconv, GRN(hidden), Conv1x1(hidden, dim)]


class ConvMLP(nn.Sequential):
    """OverLoCK's MLP, (B, dim, H, W) in and out, with `hidden` channels in between."""

    def __init__(self, dim: int, hidden: int):
        super().__init__(*mlp_layers(dim, hidden))

    def forward(self, x: Tensor) -> Tensor:
        return conv_mlp(x, *self)


class Conv3x3(nn.Conv2d):
    """3×3 convolution without bias.

    PyTorch copies the weights into the layout of the map on every call. On the CPU, in inference, a
    small map is copied into theirs instead, which is less to copy.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__(in_channels, out_channels, 3, stride, 1, bias=False)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        last = dict(memory_format=torch.channels_last)
        if self._copies_map(x) and x.is_contiguous(**last):
            return super()._conv_forward(x.contiguous(), weight, bias).contiguous(**last)
        return super()._conv_forward(x, weight, bias)

    @staticmethod
    def _copies_map(x: Tensor) -> bool:
        if torch.is_grad_enabled() or reference_mode() or x.device.type != 'cpu':
            return False
        return x.numel() // x.shape[1] <= FEW_PIXELS


def conv3x3_bn(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    """:class:`Conv3x3` and its batch norm."""
    return [Conv3x3(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels)]


def conv1x1_bn(in_channels: int, out_channels: int) -> list[nn.Module]:
    """1×1 convolution without bias, and its batch norm."""
    return [Conv1x1(in_channels, out_channels, bias=False), nn.BatchNorm2d(out_channels)]


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to exactly `size`, half-pixel centres."""
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


def init_weights(module: nn.Module) -> None:
    """Truncated normal weights, std 0.02, and zero biases (for ``nn.Module.apply``)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
