"""A segmentation config for the user's own label images."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmoverlock.utils.config import as_list, each, type_name, walk

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


def use_labels(
    cfg: Config,
    data_root: str,
    data_format: str | None,
    num_classes: int | None,
    options: Mapping[str, Any],
) -> None:
    """Train and evaluate on label images, or on polygons that are drawn as such.

    Two classes are told apart by a softmax, as more are.
    """
    from mmoverlock.datasets.formats import read_labels, write_pairs

    check_leaves(cfg)
    check_apart(cfg, data_root)
    folder = data_folder(cfg)
    data = read_labels(data_root, folder, data_format)
    check_num_classes(data.classes, num_classes, data_root)
    notes = set_classes(cfg, len(data.classes))
    if writes():
        write_pairs(data, folder)
    metainfo = dict(classes=data.classes, palette=data.palette)
    for split in ('train', 'val', 'test'):
        if cfg.get(f'{split}_dataloader') is None:
            continue
        path = str(folder / f'{split_of(data, split)}.json')
        dataset = dict(type='LabelledImages', ann_file=path, metainfo=metainfo)
        use_dataset(cfg[f'{split}_dataloader'], dataset)
        if split != 'train':
            cfg[f'{split}_evaluator'] = _evaluator(cfg.get(f'{split}_evaluator'))
    for step in pipeline_steps(cfg):
        if 'reduce_zero_label' in step:
            step.reduce_zero_label = False
    set_run(cfg, 'mIoU', options)
    images = {split: len(pairs) for split, pairs in data.splits.items()}
    report(cfg, data_root, data.format, data.classes, images, [*data.notes, *notes])


def _evaluator(given: Any) -> dict[str, Any]:
    """The config's IoUMetric, or one of the mean IoU."""
    own = [one for one in as_list(given) if type_name(one).endswith('IoUMetric')]
    return {'type': 'IoUMetric', 'iou_metrics': ['mIoU'], **(own[0] if own else {})}


def set_classes(cfg: Config, number: int) -> list[str]:
    """Give the heads their number of classes; return notes.

    Raises:
        ValueError: a head has no number of classes.
    """
    names = ('decode_head', 'auxiliary_head')
    heads = [pair for name in names for pair in each(cfg.model.get(name), f'model.{name}')]
    if not all('num_classes' in head for _, head in heads):
        raise ValueError(f"--data-root: a head of '{cfg.filename}' has no num_classes")
    notes = []
    for name, head in heads:
        old = head.num_classes
        if head.get('out_channels') is not None:
            head.out_channels = number
        for key, part in walk(head, name):
            if 'num_classes' in part:
                part.num_classes = number
            notes += set_class_weight(part, key, old, number)
    if 'num_classes' in cfg:
        cfg.num_classes = number
    return notes
