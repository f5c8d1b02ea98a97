"""What a trained model says about pictures: for Python, and for tools/infer.py.

    from mmoverlock.apis import infer

    for result in infer('config.py', 'best.pth', 'photos/*.jpg', out_dir='out'):
        print(result['image'], result['top'][0])

Models of mmpretrain, mmdet and mmseg predict by their own ``test_step``; only the library that a
config needs is imported.
"""

from .images import find_images
from .inference import Inferencer, describe, infer

__all__ = ['Inferencer', 'describe', 'find_images', 'infer']
