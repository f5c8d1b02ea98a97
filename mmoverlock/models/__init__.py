"""Networks and what belongs to them. Importing this registers them."""

from importlib.util import find_spec

from .overlock import ContMixBlock, LoadReport, OverLoCK, load_official, match_state_dict

__all__ = ['ContMixBlock', 'LoadReport', 'OverLoCK', 'load_official', 'match_state_dict']

if find_spec('mmpretrain'):
    from .overlock.head import OverLoCKHead  # noqa: F401

    __all__ += ['OverLoCKHead']
