"""Random images with valid labels, for a model of mmdet, mmseg or mmpretrain."""

from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import nn

from mmoverlock.utils.config import type_name
from mmoverlock.utils.datasets import leaf_dataset

OBJECTS = 7  # per image, COCO's mean
DEFAULT_SIZES = {'mmdet': (800, 1344), 'mmseg': (512, 512), 'mmpretrain': (224, 224)}


def image_size(cfg: Config, library: str) -> tuple[tuple[int, int], str]:
    """Height and width of the images that a config tests with, and where it says so."""
    for one in (cfg.model, cfg):
        if (one.get('data_preprocessor') or {}).get('size'):
            height, width = one.data_preprocessor.size
            return (height, width), 'data_preprocessor.size'
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    for transform in reversed(leaf_dataset(dataset).get('pipeline') or ()):
        size = transform.get('crop_size') or transform.get('scale') or 0
        width, height = (size, size) if isinstance(size, int) else size
        if min(width, height) > 0:
            return (height, width), f"the test pipeline's {type_name(transform)}"
    return DEFAULT_SIZES[library], 'usual, the config names none'


def make_batch(
    model: nn.Module, library: str, size: tuple[int, int], batch_size: int
) -> dict[str, list]:
    """A batch as a data loader gives it: uint8 images (3, H, W) and the library's data samples."""
    # An RPN's only class is "object".
    counts = [
        module.num_classes
        for name, module in model.named_modules()
        if isinstance(getattr(module, 'num_classes', None), int) and 'rpn' not in name
    ]
    batch: dict[str, list] = dict(inputs=[], data_samples=[])
    for index in range(batch_size):
        batch['inputs'].append(torch.randint(256, (3, *size), dtype=torch.uint8))
        sample = _labelled(library, size, min(counts, default=1), model.data_preprocessor)
        meta = dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0))
        sample.set_metainfo(dict(meta, img_id=index, img_path=''))
        batch['data_samples'].append(sample)
    return batch


def _labelled(
    library: str, size: tuple[int, int], classes: int, preprocessor: Any
) -> BaseDataElement:
    """The library's data sample with random labels."""
    if library == 'mmpretrain':
        from mmpretrain.structures import DataSample

        return DataSample().set_gt_label(torch.randint(classes, (1,)))
    if library == 'mmseg':
        from mmseg.structures import SegDataSample

        return SegDataSample(gt_sem_seg=PixelData(data=torch.randint(classes, (1, *size))))
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    start, extent = 0.6 * torch.rand(OBJECTS, 2), 0.1 + 0.3 * torch.rand(OBJECTS, 2)
    boxes = torch.cat([start, start + extent], 1) * torch.tensor([*size[::-1]] * 2)
    objects = InstanceData(bboxes=boxes, labels=torch.randint(classes, (OBJECTS,)))
    # The preprocessor's flags say which other labels the model learns from.
    if getattr(preprocessor, 'pad_mask', False):
        objects.masks = BitmapMasks.random(OBJECTS, *size)
    ignored = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    sample = DetDataSample(gt_instances=objects, ignored_instances=ignored)
    if getattr(preprocessor, 'pad_seg', False):
        sample.gt_sem_seg = PixelData(sem_seg=torch.randint(classes, (1, *size)))
    return sample
