"""OverLoCK: an overview-first, look-closely-next ConvNet (arXiv 2502.20087)."""

from .arch import ARCHS, Arch, get_arch
from .backbone import BaseNet, FocusNet, OverLoCK, OverviewNet
from .blocks import DynamicBlock, RepConvBlock
from .checkpoint import LoadReport, load_official, match_state_dict
from .contmix import ContMixBlock

__all__ = [
    'ARCHS',
    'Arch',
    'BaseNet',
    'ContMixBlock',
    'DynamicBlock',
    'FocusNet',
    'LoadReport',
    'OverLoCK',
    'OverviewNet',
    'RepConvBlock',
    'get_arch',
    'load_official',
    'match_state_dict',
]
