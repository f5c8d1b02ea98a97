"""A classification config for the user's own folder of classes."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmoverlock.utils.config import as_list, type_name, walk
from mmoverlock.utils.datasets import leaf_dataset

from .common import check_num_classes, report, set_run


def use_folder(
    cfg: Config, data_root: str, num_classes: int | None, options: Mapping[str, Any]
) -> None:
    """Train and evaluate on a :class:`ClassFolder`, with the config's own pipelines.

    Heads and mixed labels get the number of classes, which `num_classes` may check.
    """
    from mmoverlock.datasets.class_folder import class_names  # needs mmpretrain

    head = (cfg.get('model') or {}).get('head')
    if not isinstance(head, Mapping):
        raise ValueError(f"--data-root: '{cfg.filename}' is no classifier, it has no model.head")
    names = class_names(data_root)
    check_num_classes(names, num_classes, data_root)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        pipeline = leaf_dataset(loader.dataset).get('pipeline') or ()
        if not any('LoadImageFromFile' in type_name(step) for step in pipeline):
            raise ValueError(f'--data-root: the pipeline of {split}_dataloader reads no files')
        loader.dataset = dict(
            type='ClassFolder', data_root=data_root, split=split, pipeline=list(pipeline)
        )
    preprocessors = [cfg.model.get('data_preprocessor'), cfg.get('data_preprocessor')]
    for _, part in walk([head, *preprocessors]):
        if 'num_classes' in part:
            part['num_classes'] = len(names)
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in as_list(cfg.get(key)):
            if 'topk' in metric:
                topk = [metric.topk] if isinstance(metric.topk, int) else metric.topk
                metric.topk = tuple(k for k in topk if k <= len(names)) or (1,)
    accuracy = any(type_name(one) == 'Accuracy' for one in as_list(cfg.get('val_evaluator')))
    set_run(cfg, 'accuracy/top1' if accuracy else None, options)
    report(cfg, data_root, 'class folders', names)
