"""What a trained model says about pictures: for Python, and for tools/infer.py.

Models of mmpretrain, mmdet and mmseg predict by their own ``test_step``; only the library that a
config needs is imported.
"""

from mmoverlock.runtime.images import find_images
from mmoverlock.runtime.pictures import describe

from .inference import Inferencer, infer

__all__ = ['Inferencer', 'describe', 'find_images', 'infer']
