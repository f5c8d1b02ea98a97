"""1×1 convolution of few pixels on the CPU: the last stages, small batches.

    out[b, o, i, j] = bias[o] + Σ_c weight[o, c] · x[b, c, i, j]

oneDNN's convolution reorders the weights on every call, which costs more than the product if the
map is small. Matrix products take them as they are. Whose is faster depends on the processor: on
Zen 5, MKL's is half as fast as oneDNN's.

Removing it makes OverLoCK-T 12% slower at 224×224 (docs/benchmarks/results.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.ops.autograd import is_eager
from mmoverlock.ops.dispatch import Backend, Operator

__all__ = ['Conv1x1', 'conv1x1']

FEW_PIXELS = 256  # of all images together
# What torch.compile makes of nn.Linear; nn.functional has no way to oneDNN's matrix product.
ONEDNN_LINEAR = getattr(torch.ops.mkldnn, '_linear_pointwise', None)


def _on_cpu(device: torch.device) -> str | None:
    return None if device.type == 'cpu' else f'for the CPU, not for {device.type}'


def _few_pixels(x: Tensor, *args: Tensor | None) -> str | None:
    pixels = x.numel() // x.shape[1]
    return None if 0 < pixels <= FEW_PIXELS else f'not 1 to {FEW_PIXELS} pixels'


def _for_onednn(x: Tensor, *args: Tensor | None) -> str | None:
    many = _few_pixels(x)
    if many:
        return many
    if x.dtype != torch.float32 or torch.is_autocast_enabled('cpu'):
        return 'float32 is needed'
    if torch.is_grad_enabled() or not is_eager(x):
        return 'only in eager inference'
    return None if ONEDNN_LINEAR else 'this PyTorch has no oneDNN'


def _blas(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    bias = None if bias is None else bias.contiguous()
    pixels, matrix = x.permute(0, 2, 3, 1), weight.flatten(1).contiguous()
    return ONEDNN_LINEAR(pixels, matrix, bias, 'none', [], '').permute(0, 3, 1, 2)


CONV1X1 = Operator(
    'conv1x1',
    Backend('blas', _blas, _on_cpu, _few_pixels),
    Backend('onednn', _onednn, _on_cpu, _for_onednn),
    Backend('reference', F.conv2d),
    measured=('blas', 'onednn'),
)


def conv1x1(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, backend: str | None = None
) -> Tensor:
    """1×1 convolution with stride 1.

    Args:
        x: (B, C, H, W).
        weight: (C', C, 1, 1).
        bias: (C').
        backend: 'reference' (PyTorch's convolution), 'blas' or 'onednn'; None takes the reference
            for many pixels, for few a matrix product: without gradients, the faster, as measured.

    Returns:
        (B, C', H, W). Differentiable in x, weight and bias.

    Raises:
        ValueError: if the backend cannot run.
    """
    kind, pixels = None, x.numel() // x.shape[1]
    if is_eager(x) and not torch.is_grad_enabled() and pixels <= FEW_PIXELS:
        kind = tuple(weight.shape), pixels.bit_length(), x.dtype, torch.get_num_threads()
    return CONV1X1(x, weight, bias, device=x.device, backend=backend, kind=kind)


class Conv1x1(nn.Conv2d):
    """:func:`conv1x1` as a module, with the parameters of ``nn.Conv2d``."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv1x1(x, weight, bias)
