"""Turning a classification config to the user's own classes, and to a fixed seed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .errors import shown


def use_folder(cfg: Config, data_root: str, num_classes: int | None = None) -> None:
    """Train and evaluate on a folder of classes, with the config's own pipelines.

    Args:
        cfg: Of a classifier of mmpretrain, changed in place: its data sets become
            :class:`ClassFolder`, its heads and mixed labels get the number of classes.
        data_root: See :class:`ClassFolder`.
        num_classes: How many classes there should be; by default as many as there are folders.

    Raises:
        ValueError: if it is no such config, or the folder has another number of classes.
    """
    from mmoverlock.datasets.class_folder import class_names  # needs mmpretrain

    head = (cfg.get('model') or {}).get('head')
    if cfg.get('default_scope') != 'mmpretrain' or not isinstance(head, Mapping):
        raise ValueError(f"--data-root is for classifiers of mmpretrain, not for '{cfg.filename}'")
    names = class_names(data_root)
    if num_classes not in (None, len(names)):
        raise ValueError(
            f"--num-classes is {num_classes}, but '{data_root}' has {len(names)} classes: "
            f'{shown(names)}'
        )
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        pipeline = leaf_dataset(loader.dataset).get('pipeline') or ()
        if not any('LoadImageFromFile' in str(step.get('type')) for step in pipeline):
            raise ValueError(f'--data-root: the pipeline of {split}_dataloader reads no files')
        loader.dataset = dict(
            type='ClassFolder', data_root=data_root, split=split, pipeline=list(pipeline)
        )
    for part in (head, cfg.model.get('data_preprocessor'), cfg.get('data_preprocessor')):
        _set_everywhere(part, 'num_classes', len(names))
    for key in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(key) or []
        for metric in [metrics] if isinstance(metrics, Mapping) else metrics:
            if 'topk' in metric:
                topk = [metric.topk] if isinstance(metric.topk, int) else metric.topk
                metric.topk = tuple(k for k in topk if k <= len(names)) or (1,)


def set_seed(cfg: Config, seed: int) -> None:
    """Let the run be the same each time on one machine, at the cost of some speed.

    Raises:
        ValueError: if the seed is not from 0 to 2³² - 1.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f'--seed {seed}: a number from 0 to {2**32 - 1} is needed')
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS asks for it
    cfg.randomness = dict(seed=seed, deterministic=True)


def leaf_dataset(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data set's config inside wrappers such as RepeatDataset; of several the first."""
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset


def _set_everywhere(part: Any, name: str, value: Any) -> None:
    """Change every `name` in `part` and in what it holds."""
    if isinstance(part, Mapping):
        for key in part:
            if key == name:
                part[key] = value
            else:
                _set_everywhere(part[key], name, value)
    elif isinstance(part, (list, tuple)):
        for one in part:
            _set_everywhere(one, name, value)
