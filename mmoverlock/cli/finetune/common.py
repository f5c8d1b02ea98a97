"""What configs of all tasks share when they train on the user's own data."""

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmoverlock.datasets.formats.files import is_hidden
from mmoverlock.engine.distributed import env_rank
from mmoverlock.utils.config import as_list, type_name, walk
from mmoverlock.utils.datasets import leaf_configs
from mmoverlock.utils.errors import shown

FOLDER = 'data'  # in the work_dir


def check_num_classes(classes: Sequence[str], num_classes: int | None, data_root: str) -> None:
    """Raise ValueError if `num_classes` is given and is not the number of classes."""
    if num_classes not in (None, len(classes)):
        raise ValueError(
            f"--num-classes is {num_classes}, but '{data_root}' has {len(classes)} classes: "
            f'{shown(classes)}'
        )


def use_dataset(loader: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Have a loader read `dataset`, inside the wrappers and with the pipelines that it has.

    Of several data sets that are joined the first is kept.
    """
    part = loader['dataset']
    while isinstance(part.get('dataset', part.get('datasets')), (Mapping, list, tuple)):
        if 'datasets' in part:
            part['datasets'] = list(part['datasets'])[:1]
            part = part['datasets'][0]
        else:
            part = part['dataset']
    kept = {key: part[key] for key in ('pipeline', 'test_mode') if key in part}
    part.clear()
    part.update(**dataset, **kept)


def pipeline_steps(cfg: Config) -> list[Any]:
    """The steps of all pipelines that a config trains, validates and tests with."""
    found = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    found.append(list(cfg.get('tta_pipeline') or ()))
    return [part for _, part in walk(found) if 'type' in part]


def set_class_weight(part: Any, key: str, old: int, number: int) -> list[str]:
    """Fit a loss's `class_weight`, found under `key`, to another number of classes.

    A list of one weight for all classes and another for "no object" is resized. A list of the right
    length stays. Another one is dropped, which the returned note says.
    """
    weight = part.get('class_weight')
    if not isinstance(weight, (list, tuple)):
        return []
    if len(weight) == old + 1 and len({*weight[:-1]}) == 1:
        part['class_weight'] = [*weight[:1]] * number + [*weight[-1:]]
    elif len(weight) != number:
        part['class_weight'] = None
        return [
            f'{key}.class_weight is left out: it has {len(weight)} weights for {number} classes'
        ]
    return []


def set_run(cfg: Config, best: str | None, options: Mapping[str, Any]) -> None:
    """Scale the learning rate, keep the last and the best checkpoint, draw curves.

    Args:
        cfg: Changed in place.
        best: The metric by which a checkpoint is the best, or None: not known.
        options: Of ``--cfg-options``: those on the same settings hold.
    """
    if (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        cfg.auto_scale_lr.enable = True
    checkpoint = dict((cfg.get('default_hooks') or {}).get('checkpoint') or {})
    checkpoint = {'type': 'CheckpointHook', 'interval': 1, **checkpoint, 'max_keep_ckpts': 1}
    if best and cfg.get('val_dataloader'):
        checkpoint.update(save_best=best, rule='greater')
    cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'checkpoint': checkpoint}
    hooks = as_list(cfg.get('custom_hooks'))
    if not any(type_name(hook) == 'DrawCurves' for hook in hooks):
        hooks.append(dict(type='DrawCurves'))
    cfg.custom_hooks = hooks
    settings = ('auto_scale_lr.', 'default_hooks.')
    cfg.merge_from_dict({key: options[key] for key in options if key.startswith(settings)})


def report(
    cfg: Config,
    data_root: str,
    what: str,
    classes: Sequence[str],
    images: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Log what was found, in one line, then the notes as warnings.

    Args:
        cfg: The changed config.
        data_root: The folder, as the user named it.
        what: Its format.
        classes: Names.
        images: The number of images of each split, if known.
        notes: Of the reader, and of what else was changed in the config.
    """
    if env_rank():
        return
    parts = [f'{data_root}: {what}']
    if images:
        parts += ['images: ' + ', '.join(f'{number} {split}' for split, number in images.items())]
        notes = [*notes, *_too_short(cfg, images['train'])]
    parts += [f'{len(classes)} classes: {shown(classes)}; {_learning_rate(cfg)}']
    print_log(', '.join(parts), logger='current')
    for note in notes:
        print_log(note, logger='current', level=logging.WARNING)


def _learning_rate(cfg: Config) -> str:
    lr = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr')
    scaling = cfg.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    if cfg.get('resume'):
        return 'learning rate of the checkpoint'
    if not base or not scaling.get('enable'):
        return f'learning rate {lr}, for the batch of the config'
    return f'learning rate {lr} for {base} images a step, scaled to the batch'


def _too_short(cfg: Config, images: int) -> list[str]:
    """A warning, if the run ends before the learning rate has warmed up."""
    epochs, batch = cfg.train_cfg.get('max_epochs'), cfg.train_dataloader.get('batch_size')
    warm_up = max(
        (one.get('end', 0) for one in as_list(cfg.get('param_scheduler'))
         if type_name(one) == 'LinearLR' and not one.get('by_epoch', True)),
        default=0,
    )  # fmt: skip
    if not epochs or not batch or epochs * ceil(images / batch) > warm_up:
        return []
    return [
        f'{epochs} epochs of {images} images end within the warm-up of {warm_up} iterations: take '
        'a *_finetune.py config, or more epochs'
    ]


def split_of(data: Any, loader: str) -> str:
    """The split that a loader reads: without one for testing, that of validation."""
    return 'val' if loader == 'test' and 'test' not in data.splits else loader


def data_folder(cfg: Config) -> Path:
    """Where the written annotations of a run lie."""
    return Path(cfg.work_dir, FOLDER)


def check_apart(cfg: Config, data_root: str) -> None:
    """Raise ValueError if what a run writes would lie among the user's files.

    A folder ``work_dirs`` in the user's may be written to: readers leave it out.
    """
    folder, root = data_folder(cfg).resolve(), Path(data_root).resolve()
    inside = folder.is_relative_to(root) and not any(map(is_hidden, folder.relative_to(root).parts))
    if inside or root.is_relative_to(folder):
        raise ValueError(
            f"--data-root: '{data_folder(cfg)}', where annotations are written, is among the files "
            f"of '{data_root}': choose another --work-dir"
        )


def writes() -> bool:
    """Whether this process is the one of its machine that writes."""
    return env_rank(local=True) == 0


def check_leaves(cfg: Config) -> None:
    """Raise ValueError if a training or validation loader has no pipeline that reads files."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        leaves = [leaf for leaf, _ in leaf_configs(loader.dataset)]
        kinds = [type_name(step) for leaf in leaves for step in leaf.get('pipeline') or ()]
        if not any('LoadImageFromFile' in kind for kind in kinds):
            raise ValueError(f'--data-root: the pipeline of {split}_dataloader reads no files')
