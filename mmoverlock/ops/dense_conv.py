"""Dense convolutions on the CPU whose weights outweigh the map: the last stages, small batches.

oneDNN's convolution brings weights into an order of its own first, every time, and PyTorch turns
them to the map's channels_last before. Matrix products take them as they are. Whose is faster
depends on the processor: on Zen 5, MKL's is half as fast as oneDNN's.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .choice import fastest
from .depthwise import fused
from .operator import ordinary
from .plain import plain

FEW_PIXELS = 256  # at most, in a batch: then a 1×1 convolution may be a matrix product
MANY_WEIGHTS = 4  # times the numbers of the map, at least: then a 3×3 convolution turns the map


def _onednn(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer by oneDNN, float32 only, which takes any bias to be contiguous."""
    bias = None if bias is None else bias.contiguous()
    return F.linear(rows.to_mkldnn(), weight, bias).to_dense()


WAYS = {'blas': F.linear}  # MKL on x86
if torch.backends.mkldnn.is_available():
    WAYS['onednn'] = _onednn


def conv1x1(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1×1 convolution with stride 1; where no gradient is wanted, in the way that is fastest here.

    Args:
        x: (B, C_in, H, W).
        weight: (C_out, C_in, 1, 1).
        bias: (C_out), or None.

    Returns:
        (B, C_out, H, W).
    """
    pixels = x.numel() // x.shape[1]
    if plain() or x.device.type != 'cpu' or pixels > FEW_PIXELS:
        return F.conv2d(x, weight, bias)
    rows, weight = x.permute(0, 2, 3, 1).flatten(0, 2), weight.flatten(1)
    way = F.linear
    measured = ordinary(x) and not torch.is_grad_enabled()
    if measured and x.dtype == torch.float32 and fused.fit(x):
        kind = ('conv1x1', tuple(weight.shape), pixels.bit_length(), torch.get_num_threads())
        runs = {name: partial(run, rows, weight, bias) for name, run in WAYS.items()}
        way = WAYS[fastest(kind, runs, x.device)]
    out = way(rows, weight, bias)
    return out.unflatten(0, (len(x), *x.shape[2:])).permute(0, 3, 1, 2)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """3×3 convolution with padding 1.

    Args:
        x: (B, C_in, H, W).
        weight: (C_out, C_in, 3, 3).
        bias: (C_out), or None.
        stride: Of both dimensions.

    Returns:
        (B, C_out, ⌈H / stride⌉, ⌈W / stride⌉).
    """
    as_it_is = plain() or torch.compiler.is_compiling() or x.device.type != 'cpu'
    if as_it_is or weight.numel() < MANY_WEIGHTS * x.numel():
        return F.conv2d(x, weight, bias, stride, 1)
    out = F.conv2d(x.contiguous(), weight, bias, stride, 1)
    return out.contiguous(memory_format=torch.channels_last)
