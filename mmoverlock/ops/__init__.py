"""Operators: ContMix's dynamic convolution, depthwise convolution, and mmcv's operators where mmcv
was not compiled."""

from .depthwise import DepthwiseConv2d, depthwise_conv2d
from .dynamic_conv import available_backends, contmix, dynamic_conv2d

__all__ = [
    'DepthwiseConv2d',
    'available_backends',
    'contmix',
    'depthwise_conv2d',
    'dynamic_conv2d',
]
