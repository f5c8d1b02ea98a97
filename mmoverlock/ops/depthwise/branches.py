"""Depthwise convolutions of one map, normalised by their own statistics and added up, on the CPU.

In training, a batch norm or GRN behind a depthwise convolution reads and writes more memory than
the convolution. Here the input is read once for all branches, and so is the gradient. The loops are
in numba_branches.py; batch_norm.py and grn.py say what is made of the statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmoverlock.ops.numba_maps import TILE
from mmoverlock.ops.numba_tensors import dense, flat
from mmoverlock.ops.plain import plain
from mmoverlock.ops.simd import VECTOR_BYTES

from . import numba_branches
from .numba_cpu import vectors_and_strips


def fit(x: Tensor) -> bool:
    """Whether the loops take such a map, (B, C, H, W), and are wanted."""
    return (
        x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() > 0
        and not torch.is_autocast_enabled('cpu')
        and not plain()
    )


def empty_maps(x: Tensor, number: int) -> Tensor:
    """Memory for the maps of `number` branches, padded to whole vectors and tiles."""
    height, width = x.shape[2:]
    vectors, _ = vectors_and_strips(x)
    lanes, tiles = VECTOR_BYTES // x.dtype.itemsize, -(-width // TILE)
    return x.new_empty(vectors * number * height * tiles * TILE * lanes)


class Branches:
    """The branches of one map.

    Args:
        x: (B, C, H, W), as `fit` demands.
        weight: The (C, K·K) taps of the N branches, flat, one after the other.
        kernel_sizes: N odd numbers.
        dilations: N.
    """

    def __init__(
        self, x: Tensor, weight: Tensor, kernel_sizes: Sequence[int], dilations: Sequence[int]
    ):
        self.x, self.weight = dense(x), weight
        taps = [x.shape[1] * size**2 for size in kernel_sizes]
        starts = np.cumsum([0, *taps[:-1]])
        self.branches = np.array([kernel_sizes, dilations, starts]).T.copy()
        reach = max(d * (size // 2) for size, d in zip(kernel_sizes, dilations, strict=True))
        vectors, self.strips = vectors_and_strips(x)
        self.pieces, self.threads = vectors * self.strips, torch.get_num_threads()
        self.sizes = *x.shape, reach, self.strips
        self.pixels = x.shape[2] * x.shape[3]

    def convolve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Maps, their means (B, N, C) and sums of squared deviations (B, N, C), in float64."""
        x, number = self.x, len(self.branches)
        maps = empty_maps(x, number)
        stats = x.new_empty(len(x), self.strips, number, 2, x.shape[1])
        numba_branches.convolve_branches(
            self.pieces,
            self.threads,
            flat(x),
            x.stride(),
            flat(self.weight),
            self.branches,
            flat(maps),
            flat(stats),
            self.sizes,
        )
        means, deviations = stats.double().unbind(3)
        ends = torch.arange(self.strips + 1) * x.shape[2] // self.strips
        share = ends.diff().view(-1, 1, 1) * x.shape[3]  # pixels of every strip
        mean = (means * share).sum(1) / self.pixels
        between = ((means - mean[:, None]).square() * share).sum(1)
        return maps, mean, deviations.sum(1) + between

    def add(self, maps: Tensor, factors: Tensor, offsets: Tensor) -> Tensor:
        """Σ_k factors[:, k] · maps[k] + offsets, (B, C, H, W), of (B, N, C) and (B, C)."""
        x = self.x
        out = torch.empty_like(x)
        factors, offsets = (t.to(x.dtype).contiguous() for t in (factors, offsets))
        numba_branches.add_branches(
            self.pieces,
            self.threads,
            flat(maps),
            flat(factors),
            flat(offsets),
            flat(out),
            x.stride(),
            self.sizes,
        )
        return out

    def sum_gradients(self, grad_out: Tensor, maps: Tensor, means: Tensor) -> Tensor:
        """Σ grad_out and of every branch Σ grad_out · (map - mean): (B, 1 + N, C), in float64."""
        batch, number, channels = means.shape
        sums = grad_out.new_empty(batch, self.strips, 1 + number, channels)
        rounded = means.to(grad_out.dtype).contiguous()
        numba_branches.sum_gradients(
            self.pieces,
            self.threads,
            flat(grad_out),
            grad_out.stride(),
            flat(maps),
            flat(rounded),
            flat(sums),
            self.sizes,
        )
        sums = sums.double().sum(1)
        sums[:, 1:] += (rounded - means) * sums[:, :1]
        return sums

    def backward(self, grad_out: Tensor, maps: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of x and weight.

        That of a map is mix[:, k, 0] · grad_out + mix[:, k, 1] · map + mix[:, k, 2], with
        mix (B, N, 3, C).
        """
        x, weight = self.x, self.weight
        grad_x, mix = torch.empty_like(x), mix.to(x.dtype).contiguous()
        grad_weight = weight.new_empty(len(x), self.strips, len(weight))
        numba_branches.backward_branches(
            self.pieces,
            self.threads,
            flat(grad_out),
            grad_out.stride(),
            flat(x),
            x.stride(),
            flat(weight),
            self.branches,
            flat(maps),
            flat(mix),
            flat(grad_x),
            flat(grad_weight),
            self.sizes,
        )
        return grad_x, grad_weight.sum((0, 1))
