"""Small layers of OverLoCK. Names of parameters are those of mmoverlock.

Some stand in for layers of Jittor 1.3.11 that compute something else than PyTorch's of that name:

- ``nn.BatchNorm`` keeps the biased variance of a batch, and takes it as E[x²] - E[x]², which loses
  digits; ``BatchNorm2d`` here keeps the unbiased one, and subtracts the mean first.
- ``nn.AdaptiveAvgPool2d`` has regions of one size, which differ from PyTorch's unless the pooled
  size divides the map's.
"""

from functools import lru_cache

import jittor as jt
import numpy as np
from jittor import nn

from .ops import conv2d


def channels(x: jt.Var, like: jt.Var) -> jt.Var:
    """A number for each channel, as it meets the map `like`: C of them → (B, C, H, 1).

    It is repeated axis by axis, so that its gradient is a sum of sums: in float32 one sum over all
    images and pixels, which Jittor adds up in a row, would lose digits.
    """
    batch, number, height, _ = like.shape
    x = x.reshape((1, number, 1, 1)).broadcast((batch, number, 1, 1))
    return x.broadcast((batch, number, height, 1))


def mean_of_channels(x: jt.Var) -> jt.Var:
    """(B, C, H, W) → (C), a mean of means, as in :func:`channels`."""
    return x.mean(3).mean(2).mean(0)


class Conv2d(nn.Conv2d):
    """Convolution with half-size padding, (B, C, H, W) in and out; in groups only depthwise."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        padding = dilation * (kernel_size // 2)
        form = kernel_size, stride, padding, dilation, groups, bias
        super().__init__(in_channels, out_channels, *form)
        self.form = stride, padding, dilation, groups
        self.weight = jt.init.trunc_normal_(self.weight, std=0.02)
        if bias:
            self.bias = jt.zeros(out_channels)

    def execute(self, x: jt.Var) -> jt.Var:
        y = conv2d(x, self.weight, *self.form)
        return y if self.bias is None else y + channels(self.bias, y)


def depthwise(dim: int, kernel_size: int, dilation: int = 1, bias: bool = True) -> Conv2d:
    """Depthwise convolution."""
    return Conv2d(dim, dim, kernel_size, dilation=dilation, groups=dim, bias=bias)


class BatchNorm2d(nn.Module):
    """PyTorch's: (B, C, H, W) in and out."""

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1):
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = jt.ones(dim), jt.zeros(dim)
        self.running_mean = jt.zeros(dim).stop_grad()
        self.running_var = jt.ones(dim).stop_grad()

    def execute(self, x: jt.Var) -> jt.Var:
        if self.is_training():
            mean = mean_of_channels(x)
            x = x - channels(mean, x)
            var = mean_of_channels(x * x)
            number = x.numel() // x.shape[1]
            self._follow(self.running_mean, mean)
            self._follow(self.running_var, var * (number / max(number - 1, 1)))
        else:
            x, var = x - channels(self.running_mean, x), self.running_var
        scale = self.weight / jt.sqrt(var + self.eps)
        return x * channels(scale, x) + channels(self.bias, x)

    def _follow(self, running: jt.Var, now: jt.Var) -> None:
        running.update(running + (now.detach() - running) * self.momentum)


class LayerNorm2d(nn.Module):
    """Over the channels of every pixel of a (B, C, H, W) map."""

    def __init__(self, dim: int, eps: float = 1e-6):
        self.eps = eps
        self.weight, self.bias = jt.ones(dim), jt.zeros(dim)

    def execute(self, x: jt.Var) -> jt.Var:
        x = x - x.mean(1, keepdims=True)
        var = (x * x).mean(1, keepdims=True)
        return x / jt.sqrt(var + self.eps) * channels(self.weight, x) + channels(self.bias, x)


class LayerScale(nn.Module):
    """Per-channel weight (C, 1, 1, 1) and bias (C) of a (B, C, H, W) map."""

    def __init__(self, dim: int):
        self.weight, self.bias = jt.ones((dim, 1, 1, 1)), jt.zeros(dim)

    def execute(self, x: jt.Var) -> jt.Var:
        return x * channels(self.weight, x) + channels(self.bias, x)


class GRN(nn.Module):
    """Global response normalisation (ConvNeXt V2, arXiv 2301.00808) of a (B, C, H, W) map."""

    def __init__(self, dim: int):
        self.gamma, self.beta = jt.zeros((1, dim, 1, 1)), jt.zeros((1, dim, 1, 1))

    def execute(self, x: jt.Var) -> jt.Var:
        # The gradient of a square root of 0 would be infinite.
        norm = jt.sqrt(jt.maximum((x * x).sum([2, 3], keepdims=True), 1e-30))
        ratio = norm / (norm.mean(1, keepdims=True) + 1e-6)
        return (self.gamma * ratio + 1) * x + channels(self.beta, x)


class ResDWConv(Conv2d):
    """x plus its 3×3 depthwise convolution."""

    def __init__(self, dim: int):
        super().__init__(dim, dim, 3, groups=dim)

    def execute(self, x: jt.Var) -> jt.Var:
        return x + super().execute(x)


class SE(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507) with max(16, C // 8) hidden channels and GELU."""

    def __init__(self, dim: int):
        hidden = max(16, dim // 8)
        self.proj = nn.Sequential(
            AdaptiveAvgPool2d(1),
            Conv2d(dim, hidden, 1),
            nn.GELU(),
            Conv2d(hidden, dim, 1),
            nn.Sigmoid(),
        )

    def execute(self, x: jt.Var) -> jt.Var:
        return x * self.proj(x)


def mlp_layers(dim: int, hidden: int) -> list[nn.Module]:
    """OverLoCK's MLP, (B, dim, H, W) in and out."""
    return [
        Conv2d(dim, hidden, 1),
        nn.GELU(),
        ResDWConv(hidden),
        GRN(hidden),
        Conv2d(hidden, dim, 1),
    ]


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> list:
    """Convolution without bias, and its batch norm."""
    conv = Conv2d(in_channels, out_channels, kernel_size, stride, bias=False)
    return [conv, BatchNorm2d(out_channels)]


class AdaptiveAvgPool2d(nn.Module):
    """PyTorch's adaptive average pooling to a square; see :func:`adaptive_avg_pool2d`."""

    def __init__(self, size: int):
        self.size = size

    def execute(self, x: jt.Var) -> jt.Var:
        return adaptive_avg_pool2d(x, (self.size, self.size))


def adaptive_avg_pool2d(x: jt.Var, size: tuple[int, int]) -> jt.Var:
    """Average regions of (B, C, H, W): row i from ⌊i · H / size⌋ to ⌈(i + 1) · H / size⌉."""
    if size == (1, 1):
        return x.mean([2, 3], keepdims=True)
    rows, columns = (jt.array(_regions(*pair)) for pair in zip(x.shape[2:], size, strict=True))
    return jt.matmul(rows, jt.matmul(x, columns.transpose()))


@lru_cache
def _regions(length: int, size: int) -> np.ndarray:
    """(size, length)."""
    region, position = np.arange(size)[:, None], np.arange(length)
    start, end = region * length // size, -(-(region + 1) * length // size)
    inside = (position >= start) & (position < end)
    return (inside / (end - start)).astype(np.float32)
