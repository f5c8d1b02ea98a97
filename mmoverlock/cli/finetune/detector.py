"""A detection config for the user's own boxes and masks."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmoverlock.utils.config import type_name, walk

from .common import (
    check_apart,
    check_leaves,
    check_num_classes,
    data_folder,
    pipeline_steps,
    report,
    set_class_weight,
    set_run,
    split_of,
    use_dataset,
    writes,
)

BOX_CONFIG = 'configs/fasterrcnn_overlock/faster-rcnn_overlock-t_finetune.py'
# Not of the classes: it holds heads; object or not.
_OTHER_HEADS = {'roi_head', 'rpn_head'}


def use_objects(
    cfg: Config,
    data_root: str,
    data_format: str | None,
    num_classes: int | None,
    options: Mapping[str, Any],
) -> None:
    """Train and evaluate on annotated objects in any of the formats that are read.

    They are written as COCO JSON into the work_dir. Masks are evaluated where they are trained.
    """
    from mmdet.visualization.palette import get_palette

    from mmoverlock.datasets.formats import read_objects, write_coco

    check_leaves(cfg)
    check_apart(cfg, data_root)
    data = read_objects(data_root, data_format)
    check_num_classes(data.classes, num_classes, data_root)
    masks = trains_masks(cfg)
    if masks and not data.with_masks:
        raise ValueError(
            f"--data-root: '{cfg.filename}' trains masks, but not every object in '{data_root}' "
            f'({data.format}) has one; a config of boxes alone is {BOX_CONFIG}'
        )
    notes = set_classes(cfg, len(data.classes))
    folder = data_folder(cfg)
    if writes():
        write_coco(data, folder)
    metainfo = dict(classes=data.classes, palette=get_palette('random', len(data.classes)))
    for split in ('train', 'val', 'test'):
        if cfg.get(f'{split}_dataloader') is None:
            continue
        path = str(folder / f'instances_{split_of(data, split)}.json')
        dataset = dict(
            type='CocoDataset',
            data_root='',
            ann_file=path,
            data_prefix=dict(img=data_root),
            metainfo=metainfo,
            filter_cfg=dict(filter_empty_gt=False, min_size=0),  # every image trains
        )
        use_dataset(cfg[f'{split}_dataloader'], dataset)
        if split != 'train':
            metrics = ['bbox', 'segm'] if masks else ['bbox']
            cfg[f'{split}_evaluator'] = dict(
                type='CocoMetric', ann_file=path, metric=metrics, classwise=True
            )
    if data.ignore_orientation:
        for step in pipeline_steps(cfg):
            if type_name(step).endswith('LoadImageFromFile'):
                step.color_type = 'color_ignore_orientation'
    set_run(cfg, 'coco/segm_mAP' if masks else 'coco/bbox_mAP', options)
    images = {split: len(part['images']) for split, part in data.splits.items()}
    report(cfg, data_root, data.format, data.classes, images, [*data.notes, *notes])


def trains_masks(cfg: Config) -> bool:
    """Whether masks are loaded for training, and the model has a head for them."""
    loads = any(part.get('with_mask') for _, part in walk(cfg.train_dataloader.dataset))
    roi_head = cfg.model.get('roi_head')
    return loads and (not roi_head or bool(_first(roi_head).get('mask_head')))


def _first(part: Any) -> Any:
    return part[0] if isinstance(part, (list, tuple)) else part


def set_classes(cfg: Config, number: int) -> list[str]:
    """Give every head of the classes their number; return notes.

    Raises:
        ValueError: the config is panoptic or learns from semantic maps, or no head has a number of
            classes.
    """
    old, notes = None, []
    for key, part in walk(cfg.model, 'model'):
        heads = {name for name in key.split('.') if name.endswith('_head')}
        if key.endswith('semantic_head'):
            raise ValueError(
                f"--data-root: '{cfg.filename}' learns from semantic maps, too ({key}): take a "
                'config without, or set it to None'
            )
        if not heads - _OTHER_HEADS:
            continue
        if part.get('num_stuff_classes'):
            raise ValueError(
                f"--data-root: '{cfg.filename}' is panoptic ({key}.num_stuff_classes): take a "
                'config of boxes or masks'
            )
        for name in ('num_classes', 'num_things_classes'):
            if name in part:
                old, part[name] = part[name], number
        if old is not None:
            notes += set_class_weight(part, key, old, number)
    if old is None:
        raise ValueError(f"--data-root: no head of '{cfg.filename}' has num_classes")
    return notes
