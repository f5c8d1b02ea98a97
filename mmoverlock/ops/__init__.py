"""Operators: ContMix's dynamic convolution, and mmcv's operators where mmcv was not compiled."""

from .dynamic_conv import available_backends, contmix, dynamic_conv2d

__all__ = ['available_backends', 'contmix', 'dynamic_conv2d']
