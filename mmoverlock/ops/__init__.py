"""The operators that OverLoCK needs, each in a folder with its formula and its backends.

`backend` asks for a backend, `explain` tells which one runs and why; dispatch.py decides.
"""

from .contmix import contmix
from .conv1x1 import Conv1x1, conv1x1
from .conv_mlp import GELU, GRN, conv_mlp
from .depthwise import DepthwiseConv2d, depthwise_conv2d
from .dilated_branches import dilated_branches
from .dispatch import available_backends, backend
from .dynamic_conv2d import dynamic_conv2d
from .explain import explain
from .residual_conv import ResDWConv, residual_conv

__all__ = [
    'GELU',
    'GRN',
    'ResDWConv',
    'Conv1x1',
    'DepthwiseConv2d',
    'available_backends',
    'backend',
    'contmix',
    'conv1x1',
    'conv_mlp',
    'depthwise_conv2d',
    'dilated_branches',
    'dynamic_conv2d',
    'explain',
    'residual_conv',
]
