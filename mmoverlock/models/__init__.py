"""Networks and what belongs to them. Importing this registers them."""

from importlib.util import find_spec

from .necks import CBAM, CBAMFPN, ConcatPooling
from .overlock import ContMixBlock, LoadReport, OverLoCK, load_official, match_state_dict

__all__ = [
    'CBAM',
    'CBAMFPN',
    'ConcatPooling',
    'ContMixBlock',
    'LoadReport',
    'OverLoCK',
    'load_official',
    'match_state_dict',
]

if find_spec('mmpretrain'):
    from .overlock.head import OverLoCKHead  # noqa: F401

    __all__ += ['OverLoCKHead']

if find_spec('timm'):
    from . import timm_models  # noqa: F401  registers overlock_t and others in timm
    from .volo import VOLO  # noqa: F401

    __all__ += ['VOLO']
