"""Operators that Jittor does not have, or has slow ones of on the CPU."""

from .conv import conv2d as conv2d
from .dynamic_conv2d import dynamic_conv2d as dynamic_conv2d
