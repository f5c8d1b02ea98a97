"""Data sets that mmoverlock makes or reads itself. Importing this registers them."""

from importlib.util import find_spec

from .digits_scenes import DIGITS_SCENES_METAINFO, make_digits_scenes

__all__ = ['DIGITS_SCENES_METAINFO', 'make_digits_scenes']

if find_spec('mmpretrain'):
    from .class_folder import ClassFolder  # noqa: F401

    __all__ += ['ClassFolder']
