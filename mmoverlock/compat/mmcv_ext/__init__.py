"""Stands in for ``mmcv._ext`` when mmcv was installed without its compiled operators.

Without that extension ``mmcv.ops`` cannot even be imported, nor can mmdet's models.
:func:`install` appends a finder to ``sys.meta_path`` that offers ``operators.py`` under the name
``mmcv._ext``. Being last, it is asked only when the ordinary finders found nothing, so a compiled
mmcv is left alone.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

__all__ = ['MmcvExtFinder', 'install']


class MmcvExtFinder(MetaPathFinder):
    """Finds ``mmcv._ext``, and nothing else, in ``operators.py`` beside this file."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != 'mmcv._ext':
            return None
        return spec_from_file_location(fullname, Path(__file__).with_name('operators.py'))


def install() -> None:
    """Make ``mmcv.ops`` importable without compiled operators; calling it again does nothing.

    Call it before mmdet, mmseg or mmpretrain are imported: they look for ``mmcv.ops`` only once.
    """
    if not any(isinstance(finder, MmcvExtFinder) for finder in sys.meta_path):
        sys.meta_path.append(MmcvExtFinder())
