"""What a trained model says about pictures: for Python, and for tools/infer.py.

Models of mmpretrain, mmdet and mmseg predict by their own ``test_step``; only the library that a
config needs is imported.
"""

from .images import find_images
from .inference import Inferencer, describe, infer

__all__ = ['Inferencer', 'describe', 'find_images', 'infer']
