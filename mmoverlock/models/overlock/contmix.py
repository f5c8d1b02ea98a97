"""ContMix: convolution with kernels mixed from the global context (OverLoCK, section 3.3).

Every pixel of the query map asks a 7×7 summary of the key map; the 49 affinities become, by one
shared linear map, the taps of a small and a large kernel for that pixel, which then aggregate the
value map. `ContMixBase` is what the network's DynamicBlock and the stand-alone ContMixBlock share.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmoverlock.ops import contmix

from .any_size import AdaptiveAvgPool2d, adaptive_avg_pool2d, at_least_kernel, is_symbolic
from .layers import (
    SE,
    Conv1x1,
    ConvMLP,
    LayerNorm2d,
    ResDWConv,
    conv1x1_bn,
    init_weights,
    layer_scale,
    resize,
)
from .reparam import DilatedReparam

POOL = 7  # the key map is summarised in POOL×POOL regions


class ContMixBase(nn.Module):
    """Dynamic kernels, gate, local position encoding and MLP around a (B, D, H, W) map.

    Args are those of :class:`ContMixBlock`, and `ctx_dim`, the channels of the context. With it the
    residual stream has D = dim + ctx_dim channels, and the context is the key; without, D = dim.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: int,
        small_kernel: int,
        num_heads: int,
        mlp_ratio: float,
        ls_init_value: float | None,
        res_scale: bool,
        drop_path: float,
        deploy: bool,
        ctx_dim: int = 0,
    ):
        super().__init__()
        full_dim, key_dim = dim + ctx_dim, ctx_dim or dim
        groups = 2 * num_heads
        if dim % (2 * groups):
            raise ValueError(f'num_heads={num_heads}: 4·num_heads must divide dim={dim}')
        if small_kernel % 2 == 0 or small_kernel > kernel_size:
            raise ValueError(
                f'small_kernel={small_kernel}: an odd number up to kernel_size={kernel_size}'
            )
        self.kernel_size = kernel_size
        self.small_kernel = small_kernel
        self.num_groups = groups
        self.scale = (dim // groups) ** -0.5
        self.res_scale = res_scale

        self.dwconv1 = ResDWConv(full_dim)
        self.norm1 = LayerNorm2d(full_dim)
        self.weight_query = nn.Sequential(*conv1x1_bn(dim, dim // 2))
        self.weight_key = nn.Sequential(AdaptiveAvgPool2d(POOL), *conv1x1_bn(key_dim, dim // 2))
        self.weight_proj = nn.Conv2d(POOL**2, small_kernel**2 + kernel_size**2, 1)
        self.rpb1 = nn.Parameter(torch.zeros(groups, 2 * small_kernel - 1, 2 * small_kernel - 1))
        self.rpb2 = nn.Parameter(torch.zeros(groups, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.lepe = nn.Sequential(DilatedReparam(dim, kernel_size, deploy), nn.BatchNorm2d(dim))
        self.gate = nn.Sequential(*conv1x1_bn(dim, dim), nn.SiLU())
        self.se_layer = SE(dim)
        self.proj = nn.Sequential(nn.BatchNorm2d(dim), Conv1x1(dim, full_dim))
        self.dwconv2 = ResDWConv(full_dim)
        self.norm2 = LayerNorm2d(full_dim)
        self.mlp = ConvMLP(full_dim, int(dim * mlp_ratio))
        self.ls1, self.ls2 = (layer_scale(full_dim, ls_init_value) for _ in range(2))
        self.drop_path = DropPath(drop_path)

    def enlarge(self, *maps: Tensor) -> Sequence[Tensor]:
        """The maps, all of one size, resized if they are smaller than the large kernel."""
        size = maps[0].shape[2:]
        run_size = at_least_kernel(*size, self.kernel_size)
        if not is_symbolic(*size) and run_size == size:
            return maps
        return [resize(x, run_size) for x in maps]

    def mix(self, query: Tensor, key: Tensor, value: Tensor, size: torch.Size) -> Tensor:
        """Aggregate `value` with kernels computed from `query` and `key`, to (B, dim, *size).

        `query` and `value` are (B, dim, H, W), `key` is (B, ctx_dim or dim, H, W), H and W at least
        the kernel size. Small kernels make the first half of the channels, large ones the second.
        """
        groups = self.num_groups
        key = self.scale * self.weight_key(key)  # which is smaller than the query
        y = contmix(
            self.weight_query(query).unflatten(1, (groups, -1)),
            key.flatten(2).unflatten(1, (groups, -1)),
            value.unflatten(1, (2, groups, -1)),
            self.weight_proj.weight.flatten(1),
            self.weight_proj.bias,
            self.rpb1,
            self.rpb2,
            self.small_kernel,
            self.kernel_size,
        )
        if not is_symbolic(*size) and y.shape[2:] == size:
            return y
        return adaptive_avg_pool2d(y, size)

    def residual(self, identity: Tensor, y: Tensor, gate: Tensor, lepe: Tensor) -> Tensor:
        """The two residual steps around `identity`, (B, D, H, W): the mixed branch, then the MLP.

        The branch is `y`, with the local position encoding, channel attention and the gate; all
        three maps are (B, dim, H, W).
        """
        y = self.proj(gate * self.se_layer(y + lepe))
        if self.res_scale:
            x = self.dwconv2(self.ls1(identity) + self.drop_path(y))
            return self.ls2(x) + self.drop_path(self.mlp(self.norm2(x)))
        x = self.dwconv2(identity + self.drop_path(self.ls1(y)))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class ContMixBlock(ContMixBase):
    """Plug-and-play ContMix block: one (B, dim, H, W) map in, one out, no top-down context.

    Args:
        dim: Channels, a multiple of 4·num_heads.
        kernel_size: Large kernel, 5, 7, ..., 19. Smaller maps are resized inside.
        small_kernel: Small kernel, odd.
        num_heads: Heads.
        mlp_ratio: Hidden over input channels of the MLP.
        ls_init_value: Start of the LayerScales; None leaves them out.
        res_scale: LayerScale on the residual stream instead of the branches.
        drop_path: Probability of dropping a branch.
        deploy: Build with merged large-kernel branches.

    Raises:
        ValueError: if the sizes do not fit.
    """

    def __init__(
        self,
        dim: int = 64,
        kernel_size: int = 7,
        small_kernel: int = 5,
        num_heads: int = 2,
        mlp_ratio: float = 4,
        ls_init_value: float | None = None,
        res_scale: bool = False,
        drop_path: float = 0.0,
        deploy: bool = False,
    ):
        scales = ls_init_value, res_scale
        super().__init__(
            dim, kernel_size, small_kernel, num_heads, mlp_ratio, *scales, drop_path, deploy
        )
        self.weight_value = nn.Sequential(*conv1x1_bn(dim, dim))
        self.fusion_proj = nn.Sequential(*conv1x1_bn(dim, dim))
        self.apply(init_weights)
        nn.init.trunc_normal_(self.rpb1, std=0.02)
        nn.init.trunc_normal_(self.rpb2, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        identity = self.dwconv1(x)
        x = self.norm1(identity)
        gate, lepe = self.gate(x), self.lepe(x)
        (x,) = self.enlarge(x)
        y = self.mix(x, x, self.weight_value(x), size)
        return self.residual(identity, self.fusion_proj(y), gate, lepe)

    def reparameterize(self) -> None:
        """Merge the large-kernel branches in place, exactly (evaluation mode)."""
        self.lepe[0].reparameterize()
