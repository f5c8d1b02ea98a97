"""Data sets that mmoverlock makes or prepares itself, in formats OpenMMLab already reads."""

from .digits_scenes import DIGITS_SCENES_METAINFO, make_digits_scenes

__all__ = ['DIGITS_SCENES_METAINFO', 'make_digits_scenes']
