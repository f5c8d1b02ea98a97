"""Small layers of OverLoCK. Parameter names are those of the published state dicts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops.dense_conv import conv1x1, conv3x3
from mmoverlock.ops.depthwise import fused
from mmoverlock.ops.depthwise.grn import gelu_depthwise_grn
from mmoverlock.ops.depthwise.numba_cpu import overwrite
from mmoverlock.ops.grn import grn
from mmoverlock.ops.numba_tensors import looped
from mmoverlock.ops.plain import plain
from mmoverlock.ops.squeeze_excite import squeeze_excite_

# glibc takes memory of more bytes from the system, page by page, every time.
MAPPED_ANEW = 32 << 20


def may_overwrite() -> bool:
    """Whether a layer may write its result over its input: new memory costs more than the sum."""
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling() or plain())


def hooked(*modules: nn.Module) -> bool:
    """Whether somebody wants to know when one of the modules is called."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


class Conv1x1(nn.Conv2d):
    """:func:`mmoverlock.ops.dense_conv.conv1x1` as a module."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv1x1(x, weight, bias)


class Conv3x3(nn.Conv2d):
    """:func:`mmoverlock.ops.dense_conv.conv3x3` as a module."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__(in_channels, out_channels, 3, stride, 1, bias=False)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv3x3(x, weight, bias, self.stride[0])


class ResDWConv(nn.Conv2d):
    """Residual 3×3 depthwise convolution: x + conv(x), (B, C, H, W) in and out.

    On the CPU it is one convolution whose middle taps are greater by 1. Half precisions and TF32
    would round such a weight too coarsely.

    Args:
        dim: Channels C.
        inplace: The input may be overwritten where no gradient is wanted.
    """

    def __init__(self, dim: int, inplace: bool = False):
        super().__init__(dim, dim, 3, padding=1, groups=dim)
        self.inplace = inplace
        identity = F.pad(torch.ones(dim, 1, 1, 1), (1, 1, 1, 1))
        self.register_buffer('identity', identity, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        half = x.dtype.itemsize < 4 or torch.is_autocast_enabled(x.device.type)
        if half or x.device.type != 'cpu' or plain():
            return x + super().forward(x)
        weight = self.weight + self.identity
        if self.inplace and may_overwrite() and x.nbytes > MAPPED_ANEW:
            return overwrite(x, weight, self.bias)
        return self._conv_forward(x, weight, self.bias)


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of every pixel of a (B, C, H, W) map, eps 1e-6."""

    def __init__(self, dim: int):
        super().__init__(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """Per-channel weight and bias of a (B, C, H, W) map; the weight is stored as (C, 1, 1, 1)."""

    def __init__(self, dim: int, init_value: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((dim, 1, 1, 1), init_value))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return torch.addcmul(bias.view(-1, 1, 1), x, weight.view(-1, 1, 1))


class GELU(nn.GELU):
    """Exact GELU, which overwrites its input where no gradient is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(x) if may_overwrite() else super().forward(x)


class GRN(nn.Module):
    """Global response normalisation (ConvNeXt V2, arXiv 2301.00808, algorithm 1) of (B, C, H, W).

    Where no gradient is wanted, the result overwrites the input.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return grn(x, self.gamma, self.beta, inplace=may_overwrite())


class WithGRN(nn.Sequential):
    """Layers in sequence; what leads to a GRN is one operator, on the CPU.

    That is GELU, ResDWConv and GRN, with the bias of the convolution before them. Layers with hooks
    are called one by one, and so are those of maps that are better overwritten, and in inference in
    torch.compile, which joins them itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        training = torch.is_grad_enabled()
        if not fused.fit(x) or (torch.compiler.is_compiling() and not training) or hooked(*self):
            return super().forward(x)
        layers = list(self)
        while layers:
            match layers:
                case [Conv1x1() as widen, GELU(), ResDWConv() as conv, GRN() as norm, *rest] if (
                    training or x.nbytes // x.shape[1] * widen.out_channels <= MAPPED_ANEW
                ):
                    x = widen._conv_forward(x, widen.weight, None)
                    weight = conv.weight + conv.identity
                    given = widen.bias, weight, conv.bias, norm.gamma, norm.beta
                    x = gelu_depthwise_grn(x, *given, inplace=not training)
                    layers = rest
                case [layer, *layers]:
                    x = layer(x)
        return x


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
        if not may_overwrite():
            return x * self.proj(x)
        _, reduce, _, expand, _ = self.proj
        as_built = type(reduce) is type(expand) is Conv1x1 and not hooked(self.proj, *self.proj)
        if as_built and looped(x) and fused.fit(x):
            return squeeze_excite_(x, reduce.weight, reduce.bias, expand.weight, expand.bias)
        return x.mul_(self.proj(x))


def conv3x3_bn(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    """3×3 convolution without bias, and its batch norm."""
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
