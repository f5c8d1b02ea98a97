"""mmpretrain's one layer for mmdet, which is loaded when mmdet is.

Where mmdet is installed, mmpretrain imports it for ``ResLayerExtraNorm``, and with it scikit-learn,
pandas and matplotlib, which takes seconds (CHANGELOG.md). mmpretrain goes without the layer where
mmdet is not installed; here it does so until mmdet's models are imported.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from .on_import import on_import

NAME = 'ResLayerExtraNorm'
PACKAGE = 'mmpretrain.models.utils'
MODULE = f'{PACKAGE}.res_layer_extra_norm'


def load(_: Any) -> None:
    """Have the layer in the stand-in's place, which registers it in mmdet."""
    del sys.modules[MODULE]
    if PACKAGE in sys.modules:
        layer = getattr(importlib.import_module(MODULE), NAME)
        setattr(sys.modules[PACKAGE], NAME, layer)


def install() -> None:
    """Put a module without the layer in its place, unless mmpretrain or mmdet is imported."""
    if MODULE not in sys.modules and on_import('mmdet.models', load):
        sys.modules[MODULE] = ModuleType(MODULE)
        setattr(sys.modules[MODULE], NAME, None)
