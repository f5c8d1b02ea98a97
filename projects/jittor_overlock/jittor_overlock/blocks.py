"""The blocks: RepConvBlock in Base-Net and Overview-Net, DynamicBlock in Focus-Net."""

import jittor as jt
import numpy as np
from jittor import nn

from .layers import (
    GRN,
    SE,
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    LayerNorm2d,
    LayerScale,
    ResDWConv,
    adaptive_avg_pool2d,
    conv_bn,
    depthwise,
    mlp_layers,
)
from .ops import dynamic_conv2d
from .sizes import DILATED_BRANCHES, Arch

POOL = 7  # the key map is summarised in POOL×POOL regions
SMALL_KERNEL = 5
SCALED = (False, False, True, True)  # stages with LayerScale


class DilatedReparam(nn.Module):
    """k×k depthwise convolution and dilated ones beside it, each with a batch norm, summed."""

    def __init__(self, dim: int, kernel_size: int):
        branches = [('lk_origin', 'origin_bn', kernel_size, 1)] + [
            (f'dil_conv_k{size}_{dilation}', f'dil_bn_k{size}_{dilation}', size, dilation)
            for size, dilation in DILATED_BRANCHES[kernel_size]
        ]
        for conv, norm, size, dilation in branches:
            setattr(self, conv, depthwise(dim, size, dilation, bias=False))
            setattr(self, norm, BatchNorm2d(dim))
        self.names = [(conv, norm) for conv, norm, *_ in branches]

    def execute(self, x: jt.Var) -> jt.Var:
        return sum(getattr(self, norm)(getattr(self, conv)(x)) for conv, norm in self.names)


class RepConvBlock(nn.Module):
    """Static large-kernel block of stage 0..3, (B, dim, H, W) in and out (OverLoCK, figure 4b)."""

    def __init__(self, arch: Arch, stage: int):
        dim = arch.embed_dim[stage]
        self.dwconv = ResDWConv(dim)
        self.proj = nn.Sequential(
            LayerNorm2d(dim),
            DilatedReparam(dim, arch.kernel_size[stage]),
            BatchNorm2d(dim),
            SE(dim),
            *mlp_layers(dim, int(dim * arch.mlp_ratio[stage])),
        )
        self.ls = LayerScale(dim) if SCALED[stage] else nn.Identity()

    def execute(self, x: jt.Var) -> jt.Var:
        x = self.dwconv(x)
        return self.ls(x) + self.proj(x)


class DynamicBlock(nn.Module):
    """Block of Focus-Net: features and context flow together through ContMix (figure 4c).

    The first block of Focus-Net takes the context as it is; the others add the original context.
    """

    def __init__(self, arch: Arch, stage: int, first: bool):
        dim, ctx_dim, sub = arch.embed_dim[stage], arch.ctx_dim, stage - 2
        full, size = dim + ctx_dim, arch.kernel_size[stage]
        self.dims, self.first, self.kernel_size = (dim, ctx_dim), first, size
        self.groups = groups = 2 * arch.sub_num_heads[sub]
        self.scale = (dim // groups) ** -0.5
        if not first:
            self.x_scale, self.h_scale = LayerScale(ctx_dim), LayerScale(ctx_dim)
        self.dwconv1, self.norm1 = ResDWConv(full), LayerNorm2d(full)
        self.fusion = nn.Sequential(
            depthwise(full, 3), BatchNorm2d(full), nn.GELU(), Conv2d(full, dim, 1), GRN(dim)
        )
        self.weight_query = nn.Sequential(*conv_bn(dim, dim // 2, 1))
        self.weight_key = nn.Sequential(AdaptiveAvgPool2d(POOL), *conv_bn(ctx_dim, dim // 2, 1))
        self.weight_proj = Conv2d(POOL**2, SMALL_KERNEL**2 + size**2, 1)
        self.rpb1 = jt.zeros((groups, 2 * SMALL_KERNEL - 1, 2 * SMALL_KERNEL - 1))
        self.rpb2 = jt.zeros((groups, 2 * size - 1, 2 * size - 1))
        self.lepe = nn.Sequential(DilatedReparam(dim, size), BatchNorm2d(dim))
        self.gate = nn.Sequential(*conv_bn(dim, dim, 1), nn.SiLU())
        self.dyconv_proj = nn.Sequential(*conv_bn(dim, dim, 1))
        self.se_layer = SE(dim)
        self.proj = nn.Sequential(BatchNorm2d(dim), Conv2d(dim, full, 1))
        self.dwconv2, self.norm2 = ResDWConv(full), LayerNorm2d(full)
        self.mlp = nn.Sequential(*mlp_layers(full, int(dim * arch.sub_mlp_ratio[sub])))
        self.ls1, self.ls2 = LayerScale(full), LayerScale(full)

    def execute(self, x: jt.Var, ctx: jt.Var, ctx_ref: jt.Var) -> jt.Var:
        """(B, dim, H, W), and twice (B, ctx_dim, H, W), → (B, dim + ctx_dim, H, W)."""
        if not self.first:
            ctx = self.x_scale(ctx) + self.h_scale(ctx_ref)
        identity = self.dwconv1(jt.concat([x, ctx], 1))
        full = self.norm1(identity)
        value = self.fusion(full)
        gate, lepe = self.gate(value), self.lepe(value)
        y = self.dyconv_proj(self.mix(full, value)) + lepe
        x = self.dwconv2(self.ls1(identity) + self.proj(gate * self.se_layer(y)))
        return self.ls2(x) + self.mlp(self.norm2(x))

    def mix(self, full: jt.Var, value: jt.Var) -> jt.Var:
        """ContMix: kernels made from `full`, (B, D, H, W), aggregate `value`, (B, dim, H, W)."""
        size = tuple(value.shape[2:])
        run_size = at_least_kernel(*size, self.kernel_size)
        if run_size != size:
            full, value = (nn.resize(x, run_size, 'bilinear') for x in (full, value))
        query, key = full.split(self.dims, 1)
        batch, groups, (height, width) = value.shape[0], self.groups, run_size
        query = self.weight_query(query).reshape((batch, groups, -1, height * width))
        key = (self.scale * self.weight_key(key)).reshape((batch, groups, -1, POOL**2))
        # The projection of the affinities is folded into the keys, once for each image and head.
        weight = self.weight_proj.weight.reshape((-1, POOL**2))
        keys = jt.matmul(key, weight.transpose())  # (B, G, c, taps)
        logits = jt.matmul(query.transpose(0, 1, 3, 2), keys) + self.weight_proj.bias
        logits = logits.reshape((batch, groups, height, width, -1))
        value = value.reshape((batch, 2, groups, -1, height, width)).transpose(0, 1, 2, 4, 5, 3)
        small, halves = SMALL_KERNEL**2, []
        for i, table in enumerate((self.rpb1, self.rpb2)):
            part = logits[..., small:] if i else logits[..., :small]
            kernels = nn.softmax(part + position_bias(table, run_size), -1)
            halves.append(dynamic_conv2d(kernels, value[:, i]))
        y = jt.stack(halves, 1).transpose(0, 1, 2, 5, 3, 4).reshape((batch, -1, height, width))
        return y if run_size == size else adaptive_avg_pool2d(y, size)


def at_least_kernel(height: int, width: int, kernel_size: int) -> tuple[int, int]:
    """The size at which ContMix runs; the expressions and their order are the published ones."""
    if min(height, width) >= kernel_size:
        return height, width
    if height < width:
        size = kernel_size, int(kernel_size / height * width)
    else:
        size = int(kernel_size / width * height), kernel_size
    return max(size[0], kernel_size), max(size[1], kernel_size)


def position_bias(table: jt.Var, size: tuple[int, int]) -> jt.Var:
    """Bias of every pixel's taps, relative to the pixel: (G, 2K-1, 2K-1) → (G, H, W, K·K)."""
    kernel_size = (table.shape[-1] + 1) // 2
    starts = []
    for length in size:
        pixel = np.arange(length)
        window = np.clip(pixel - kernel_size // 2, 0, length - kernel_size)
        starts.append(jt.array((window - pixel + kernel_size - 1).astype(np.int32)))
    shape = [table.shape[0], *size, kernel_size, kernel_size]
    bias = table.reindex(shape, ['i0', '@e0(i1)+i3', '@e1(i2)+i4'], extras=starts)
    return bias.reshape((*shape[:3], -1))
