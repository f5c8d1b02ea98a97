"""Training samples as the config's pipeline delivers them, and a contact sheet of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import set_random_seed

from mmoverlock.utils.config import require
from mmoverlock.utils.datasets import delivers_bgr, spread_indices
from mmoverlock.utils.registry import build
from mmoverlock.visualization.contact_sheet import IGNORED, Panel, draw_sheet
from mmoverlock.visualization.drawing import usual_colours

SAMPLES = 24
_SEED = 0


@dataclass
class Sheet:
    """A contact sheet.

    Attributes:
        picture: (H, W, 3) uint8, RGB.
        drawn: How many samples are on it.
    """

    picture: np.ndarray
    drawn: int


def training_sheet(cfg: Config, number: int = SAMPLES) -> Sheet:
    """Draw samples of the training data set, spread over it, as a model is given them.

    What the data preprocessor does to a batch (padding, normalization, mixing) is left out.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        number: How many samples at most.

    Raises:
        ValueError: the data set cannot be built, is empty, or its samples are not single images
            with labels.
    """
    require(cfg, 'train_dataloader')
    key = 'train_dataloader.dataset'
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        dataset = build(DATASETS, cfg.train_dataloader.dataset, key)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        set_random_seed(_SEED)
        classes = [str(name) for name in dataset.metainfo.get('classes') or ()]
        bgr = delivers_bgr(cfg, 'train_dataloader')
        chosen = spread_indices(len(dataset), number)
        panels = [panel_of(dataset[index], classes, bgr) for index in chosen]
    if not panels:
        raise ValueError(f'{key}: no image is left in the data set')
    coloured = any(panel.labels is not None for panel in panels)
    palette = dataset.metainfo.get('palette') if coloured else None
    colours = [tuple(colour) for colour in palette or usual_colours(len(classes))]
    picture = draw_sheet(panels, classes, colours)
    return Sheet(picture, len(panels))


def panel_of(sample: Mapping[str, Any], classes: Sequence[str], bgr: bool) -> Panel:
    """The picture and the labels of a packed sample of mmdet, mmseg or mmpretrain.

    Raises:
        ValueError: it is none.
    """
    inputs, labels = sample.get('inputs'), sample.get('data_samples')
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 3 or labels is None:
        raise ValueError('the training pipeline does not deliver single images with labels')
    file = labels.metainfo.get('img_path') or ''
    panel = Panel(to_picture(inputs, bgr), Path(file).name)
    if 'gt_sem_seg' in labels:
        found = labels.gt_sem_seg.data[0].numpy().astype(np.int64)
        panel.labels = np.where((found >= 0) & (found < len(classes)), found, IGNORED)
    if 'gt_instances' in labels:
        panel.objects = [*_objects(labels.gt_instances, classes)]
        for one in _objects(labels.get('ignored_instances', {}), classes):
            panel.objects.append(dict(one, label=IGNORED, name='ignored'))
    if 'gt_label' in labels:
        panel.caption = ', '.join(classes[label] for label in labels.gt_label.tolist())
    return panel


def to_picture(inputs: torch.Tensor, bgr: bool) -> np.ndarray:
    """A tensor (C, H, W) with 1 or 3 channels as a picture (H, W, 3) uint8 in RGB.

    Floats may be 0 to 255, or anything else: then their range is stretched.
    """
    picture = inputs.permute(1, 2, 0).numpy()
    if picture.dtype != np.uint8:
        low, high = float(picture.min()), float(picture.max())
        if low < 0 or not 2 < high < 256:
            picture = (picture - low) * (255 / max(high - low, 1e-6))
        picture = picture.round().astype(np.uint8)
    picture = picture.repeat(3, 2) if picture.shape[2] == 1 else picture
    return np.ascontiguousarray(picture[..., ::-1] if bgr else picture)


def _objects(found: Any, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The objects of mmdet's instances, the smaller ones first: they are drawn on top."""
    if 'bboxes' not in found:
        return
    boxes = found['bboxes']
    boxes = getattr(boxes, 'tensor', boxes).numpy()
    labels = found['labels'].tolist()
    masks = found['masks'].to_ndarray() if 'masks' in found else None
    sizes = (boxes[:, 2:4] - boxes[:, :2]).prod(1)
    for i in sizes.argsort(kind='stable').tolist():
        one = dict(label=labels[i], name=classes[labels[i]], box=boxes[i].tolist())
        yield one if masks is None else dict(one, mask=masks[i].astype(bool))
