"""Everything about a run that can be wrong, checked before anything is written.

The checks build what the Runner will build (model, data sets, evaluators), read the checkpoints it
will load, and throw all of it away. That costs seconds; a mistake is then told in one line that
names the config's key, instead of by a traceback, or by a run that goes wrong hours later.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine import registry
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.models import OverLoCK
from mmoverlock.models.overlock.checkpoint import state_dict_of

from .checkpoint import read_checkpoint
from .datacheck import check_dataset, check_path, check_same_classes, check_topk
from .dist import env_rank
from .errors import build, check_type
from .hooks import fit_state_dict

_TRAINING_PARTS = ('meta', 'optimizer', 'message_hub')


def preflight(cfg: Config, training: bool) -> None:
    """Check a run; on each machine the first process does it while the others wait for it.

    Args:
        cfg: The config, ready to run.
        training: Whether to train, else to test.

    Raises:
        ValueError, OSError: naming what is wrong, its value and what is allowed.
    """
    if env_rank(local=True):
        return
    parts = ('train', 'val') if training else ('test',)
    needed = [f'{parts[0]}_dataloader', f'{parts[0]}_cfg']
    needed.append('optim_wrapper' if training else 'test_evaluator')
    for key in ('model', *needed):
        if cfg.get(key) is None:
            raise ValueError(f"config '{cfg.filename}' has no {key}")
    loaders = [f'{part}_dataloader' for part in parts if cfg.get(f'{part}_dataloader')]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = build(registry.MODELS, _model_cfg(cfg), 'model')
        _check_channels(cfg, model)
        _check_types(cfg, loaders)
        if training and 'optimizer' in cfg.optim_wrapper:
            parameters = dict(params=[nn.Parameter(torch.zeros(1))])
            optimizer = {**cfg.optim_wrapper.optimizer, **parameters}
            build(registry.OPTIMIZERS, optimizer, 'optim_wrapper.optimizer')
        _check_checkpoints(cfg, model, training)
        keys = {f'{key}.dataset': cfg[key].dataset for key in loaders}
        classes = {key: check_dataset(one, key, model) for key, one in keys.items()}
        check_same_classes(classes)
        for key in (f'{part}_evaluator' for part in parts):
            for metric_key, metric in _each(cfg.get(key), key):
                check_path(metric.get('ann_file') or '', f'{metric_key}.ann_file')
                check_topk(build(registry.METRICS, metric, metric_key), metric_key, classes)
        metrics = [name for _, one in _each(cfg.get('test_evaluator'), '') for name in _names(one)]
        if not training and 'segm' in metrics and getattr(model, 'with_mask', True) is False:
            raise ValueError("'segm' cannot be evaluated: the model has no mask head")


def check_work_dir(cfg: Config, overwrite: bool) -> None:
    """Refuse to train over the checkpoints of another run, or remove them when told to.

    Raises:
        ValueError: there are checkpoints, and neither resuming nor overwriting was asked for.
    """
    if env_rank(local=True) or cfg.get('resume'):
        return
    folder = Path(cfg.work_dir)
    old = sorted(folder.glob('*.pth')) + list(folder.glob('last_checkpoint'))
    if old and not overwrite:
        raise ValueError(
            f"work_dir '{cfg.work_dir}' holds the checkpoints of another run ({old[0].name}): "
            'continue it with --resume, choose another --work-dir, or start over with --overwrite'
        )
    if old and env_rank() == 0:
        for path in old:
            path.unlink()
        print_log(f'--overwrite: removed {len(old)} files from {folder}', logger='current')


def _model_cfg(cfg: Config) -> Mapping[str, Any]:
    preprocessor = cfg.get('data_preprocessor')
    return {'data_preprocessor': preprocessor, **cfg.model} if preprocessor else cfg.model


def _check_channels(cfg: Config, model: nn.Module) -> None:
    """Compare the neck's channels, which the config repeats, with those of an OverLoCK backbone."""
    neck = cfg.model.get('neck') or {}
    given = (neck[0] if isinstance(neck, list) else neck).get('in_channels')
    backbone = getattr(model, 'backbone', None)
    if isinstance(backbone, OverLoCK) and isinstance(given, (list, tuple)):
        if tuple(given) != backbone.out_channels:
            raise ValueError(
                f'model.neck.in_channels={list(given)}: the backbone of this arch and out_indices '
                f'returns {list(backbone.out_channels)}'
            )


def _each(cfg: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The dicts of a value that may be None, one dict, or a list of dicts; and their keys."""
    if isinstance(cfg, Mapping):
        yield key, cfg
    for index, one in enumerate(cfg if isinstance(cfg, (list, tuple)) else ()):
        yield f'{key}.{index}', one


def _names(metric: Mapping[str, Any]) -> list[str]:
    names = metric.get('metric') or []
    return [names] if isinstance(names, str) else list(names)


def _check_types(cfg: Config, loaders: list[str]) -> None:
    """Check the types of what only the Runner can build."""
    places = [
        (registry.HOOKS, 'custom_hooks', cfg.get('custom_hooks')),
        (registry.PARAM_SCHEDULERS, 'param_scheduler', cfg.get('param_scheduler')),
        (registry.VISUALIZERS, 'visualizer', cfg.get('visualizer')),
        (registry.LOG_PROCESSORS, 'log_processor', cfg.get('log_processor')),
    ]
    hooks = cfg.get('default_hooks') or {}
    places += [(registry.HOOKS, f'default_hooks.{name}', hooks[name]) for name in hooks]
    places.append((registry.OPTIM_WRAPPERS, 'optim_wrapper', cfg.get('optim_wrapper')))
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    places.append((registry.VISBACKENDS, 'visualizer.vis_backends', backends))
    places += [(registry.LOOPS, key, cfg.get(key)) for key in ('train_cfg', 'val_cfg', 'test_cfg')]
    for loader in loaders:
        for part in ('sampler', 'batch_sampler'):
            places.append((registry.DATA_SAMPLERS, f'{loader}.{part}', cfg[loader].get(part)))
    for kind, key, value in places:
        for one_key, one in _each(value, key):
            check_type(kind, one, one_key)


def _check_checkpoints(cfg: Config, model: nn.Module, training: bool) -> None:
    """Read what the run will load and match it with the model; files at URLs are checked later."""
    path = cfg.get('load_from')
    if path and '://' not in path:
        checkpoint = read_checkpoint(path)
        resume = training and cfg.get('resume')
        absent = [part for part in _TRAINING_PARTS if resume and part not in checkpoint]
        if absent:
            raise ValueError(
                f"--resume: checkpoint '{path}' has no '{absent[0]}', it holds weights only: "
                f'start from them with --cfg-options load_from={path}'
            )
        _fit(model, checkpoint, path, strict=bool(resume or not training))
    if not training or path:
        return  # initial weights are not used
    for key, init in _init_cfgs(cfg.model, 'model'):
        path, prefix = str(init.get('checkpoint')), init.get('prefix') or ''
        if '://' in path:
            continue
        check_path(path, f'{key}.init_cfg.checkpoint')
        checkpoint = read_checkpoint(path)
        if prefix:
            named = state_dict_of(checkpoint).items()
            checkpoint = {k.removeprefix(prefix): v for k, v in named if k.startswith(prefix)}
        module = dict(model.named_modules()).get(key.removeprefix('model').strip('.'))
        if module is not None:
            _fit(module, checkpoint, path)


def _fit(model: nn.Module, checkpoint: Mapping[str, Any], path: str, strict: bool = False) -> None:
    try:
        fit_state_dict(model, checkpoint, strict)
    except ValueError as error:
        reason = str(error).removeprefix('checkpoint ')
        raise ValueError(f"checkpoint '{path}' {reason}") from error


def _init_cfgs(cfg: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The 'Pretrained' initializers in the config and the keys of the modules they initialize."""
    if isinstance(cfg, Mapping):
        for _, init in _each(cfg.get('init_cfg'), ''):
            if init.get('type') == 'Pretrained':
                yield key, init
        for part, value in cfg.items():
            yield from _init_cfgs(value, f'{key}.{part}')
