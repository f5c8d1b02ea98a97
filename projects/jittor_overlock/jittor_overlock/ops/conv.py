"""Convolution: by our operators on the CPU, by Jittor's (cuDNN and its own) on CUDA."""

import jittor as jt
from jittor import nn

from .depthwise import depthwise_conv2d
from .matmul import matmul


def conv2d(
    x: jt.Var, weight: jt.Var, stride: int, padding: int, dilation: int, groups: int
) -> jt.Var:
    """(B, C, H, W) float32 → (B, O, H', W'), as ``jittor.nn.conv2d``.

    On the CPU a convolution is dense, or depthwise and of the same size.
    """
    if jt.flags.use_cuda:
        return nn.conv2d(x, weight, None, stride, padding, dilation, groups)
    if groups > 1:
        return depthwise_conv2d(x, weight, dilation)
    batch, channels, *size = x.shape
    out_channels, _, kernel_size, _ = weight.shape
    height, width = ((length + 2 * padding - kernel_size) // stride + 1 for length in size)
    windows = x.reindex(
        [batch, height, width, channels, kernel_size, kernel_size],
        ['i0', 'i3', f'i1*{stride}-{padding}+i4', f'i2*{stride}-{padding}+i5'],
    )
    pixels = batch * height * width
    y = matmul(windows.reshape((pixels, -1)), weight.reshape((out_channels, -1)), transpose_b=True)
    return y.reshape((batch, height, width, out_channels)).transpose(0, 3, 1, 2)
