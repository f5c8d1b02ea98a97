"""OverLoCK: an overview-first, look-closely-next ConvNet (arXiv 2502.20087)."""

from .arch import ARCHS, Arch, get_arch
from .backbone import OverLoCK
from .checkpoint import LoadReport, load_official, match_state_dict
from .contmix import ContMixBlock

__all__ = [
    'ARCHS',
    'Arch',
    'ContMixBlock',
    'LoadReport',
    'OverLoCK',
    'get_arch',
    'load_official',
    'match_state_dict',
]
