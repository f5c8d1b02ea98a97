"""Stands in for ``mmcv._ext`` when mmcv was installed without its compiled operators.

Without that extension ``mmcv.ops`` cannot even be imported, nor can mmdet's models.
"""

import sys
from importlib.util import find_spec

import mmcv

from . import operators

__all__ = ['install']


def install() -> None:
    """Make ``mmcv.ops`` importable: ``operators.py`` becomes ``mmcv._ext`` if there is none.

    A compiled mmcv is left alone. Call it before mmdet, mmseg or mmpretrain are imported: they look
    for ``mmcv.ops`` only once. Calling it again does nothing.
    """
    if find_spec('mmcv._ext') is None:
        mmcv._ext = sys.modules['mmcv._ext'] = operators
