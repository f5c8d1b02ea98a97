"""Data sets that mmoverlock makes or reads itself. Importing this registers them."""

import contextlib
from importlib.util import find_spec

from mmoverlock.compat.coco_api import read_files_with

from .coco_annotations import read_annotations
from .digits_scenes import DIGITS_SCENES_METAINFO, make_digits_scenes
from .labelled_images import LabelledImages

__all__ = ['DIGITS_SCENES_METAINFO', 'LabelledImages', 'make_digits_scenes']

read_files_with(read_annotations)

if find_spec('mmpretrain'):
    with contextlib.redirect_stdout(None):  # it prints which optional packages are missing
        import mmpretrain.datasets  # noqa: F401

    from .class_folder import ClassFolder  # noqa: F401
    from .digits import Digits  # noqa: F401
    from .imagenet100 import ImageNet100  # noqa: F401
    from .tiny_imagenet import TinyImageNet  # noqa: F401

    __all__ += ['ClassFolder', 'Digits', 'ImageNet100', 'TinyImageNet']
