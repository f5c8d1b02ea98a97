"""Everything about a run that can be wrong, checked before anything is written.

The checks build what the Runner will build (model, data sets, evaluators), read the checkpoints it
will load, and throw all of it away. That costs seconds; a mistake is then told in one line that
names the config's key, instead of by a traceback, or by a run that goes wrong hours later.
"""

import torch
from mmengine import registry
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.engine.distributed import env_rank
from mmoverlock.utils.config import each, require
from mmoverlock.utils.models import build_model
from mmoverlock.utils.registry import build, check_type

from .checkpoints import check_checkpoints
from .datasets import check_dataset, check_same_classes, check_topk
from .model import check_channels, check_masks
from .paths import check_path


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
    other = 'optim_wrapper' if training else 'test_evaluator'
    require(cfg, 'model', f'{parts[0]}_dataloader', f'{parts[0]}_cfg', other)
    loaders = [f'{part}_dataloader' for part in parts if cfg.get(f'{part}_dataloader')]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = build_model(cfg)
        check_channels(cfg, model)
        _check_types(cfg, loaders)
        if training and 'optimizer' in cfg.optim_wrapper:
            parameters = dict(params=[nn.Parameter(torch.zeros(1))])
            optimizer = {**cfg.optim_wrapper.optimizer, **parameters}
            build(registry.OPTIMIZERS, optimizer, 'optim_wrapper.optimizer')
        check_checkpoints(cfg, model, training)
        keys = {f'{key}.dataset': cfg[key].dataset for key in loaders}
        classes = {key: check_dataset(one, key, model) for key, one in keys.items()}
        check_same_classes(classes)
        for part in parts:
            for key, metric in each(cfg.get(f'{part}_evaluator'), f'{part}_evaluator'):
                check_path(metric.get('ann_file') or '', f'{key}.ann_file')
                check_topk(build(registry.METRICS, metric, key), key, classes)
        if not training:
            check_masks(cfg, model)


def _check_types(cfg: Config, loaders: list[str]) -> None:
    """Check the types of what only the Runner can build."""
    places = [
        (registry.HOOKS, 'custom_hooks', cfg.get('custom_hooks')),
        (registry.PARAM_SCHEDULERS, 'param_scheduler', cfg.get('param_scheduler')),
        (registry.VISUALIZERS, 'visualizer', cfg.get('visualizer')),
        (registry.LOG_PROCESSORS, 'log_processor', cfg.get('log_processor')),
        (registry.OPTIM_WRAPPERS, 'optim_wrapper', cfg.get('optim_wrapper')),
    ]
    hooks = cfg.get('default_hooks') or {}
    places += [(registry.HOOKS, f'default_hooks.{name}', hooks[name]) for name in hooks]
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    places.append((registry.VISBACKENDS, 'visualizer.vis_backends', backends))
    places += [(registry.LOOPS, key, cfg.get(key)) for key in ('train_cfg', 'val_cfg', 'test_cfg')]
    for loader in loaders:
        for part in ('sampler', 'batch_sampler'):
            places.append((registry.DATA_SAMPLERS, f'{loader}.{part}', cfg[loader].get(part)))
    for kind, place, value in places:
        for key, one in each(value, place):
            check_type(kind, one, key)
