"""Checks of what only the Runner builds: hooks, visualizers, environment."""

import importlib.util
import inspect
import logging
import multiprocessing
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine import registry
from mmengine.config import Config
from mmengine.runner import LogProcessor, Runner
from mmengine.utils.dl_utils import set_multi_processing

from mmoverlock.utils.config import each, hook_configs, type_name, walk
from mmoverlock.utils.errors import did_you_mean, shown
from mmoverlock.utils.registry import check_type

_BUILT_LATER = {
    r'custom_hooks|default_hooks\.\w+': registry.HOOKS,
    'param_scheduler': registry.PARAM_SCHEDULERS,
    'visualizer': registry.VISUALIZERS,
    r'visualizer\.vis_backends': registry.VISBACKENDS,
    'log_processor': registry.LOG_PROCESSORS,
    'optim_wrapper': registry.OPTIM_WRAPPERS,
    r'(train|val|test)_dataloader\.(batch_)?sampler': registry.DATA_SAMPLERS,
}
# What backends import when the first figure is written.
_PACKAGES = {
    'TensorboardVisBackend': 'tensorboard',
    'WandbVisBackend': 'wandb',
    'MLflowVisBackend': 'mlflow',
    'ClearMLVisBackend': 'clearml',
    'NeptuneVisBackend': 'neptune',
    'DVCLiveVisBackend': 'dvclive',
    'AimVisBackend': 'aim',
}
_SCHEDULING = ('enable', 'base_batch_size')
_ENVIRONMENT = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')
_COMMUNICATION = ('nccl', 'gloo', 'mpi', 'ucc', 'hccl', 'cncl', 'mccl', 'xccl', 'smddp')


def check_settings(cfg: Config) -> None:
    """Raise ValueError if a type or an argument does not exist, or a value is not allowed."""
    for key, part in walk(cfg._cfg_dict):
        for pattern, kind in _BUILT_LATER.items():
            if re.fullmatch(rf'({pattern})(\.\d+)?', key):
                check_type(kind, part, key)
    _check_hooks(cfg)
    for key, part in each((cfg.get('visualizer') or {}).get('vis_backends'), 'vis_backends'):
        package = _PACKAGES.get(type_name(part))
        if package and importlib.util.find_spec(package) is None:
            raise ValueError(
                f'visualizer.{key}: {type_name(part)} needs the package {package}: '
                f'pip install {package}'
            )
    processor = cfg.get('log_processor') or {}
    if 'type' not in processor:
        _check_names(processor, inspect.signature(LogProcessor).parameters, 'log_processor')
    _check_names(cfg.get('auto_scale_lr'), _SCHEDULING, 'auto_scale_lr')
    randomness = [*inspect.signature(Runner.set_randomness).parameters][1:]
    _check_names(cfg.get('randomness'), randomness, 'randomness')
    _check_environment(cfg.get('env_cfg') or {})
    level = cfg.get('log_level') or 'INFO'
    if not isinstance(level, int) and not isinstance(logging.getLevelName(level), int):
        raise ValueError(f'log_level={level!r}: allowed are DEBUG, INFO, WARNING, ERROR, CRITICAL')


def _check_hooks(cfg: Config) -> None:
    for key, hook in hook_configs(cfg):
        if 'type' not in hook:
            name = key.rpartition('.')[2]
            others = [one for one in cfg.get('default_hooks') or () if one != name]
            raise ValueError(f'{key} has no type{did_you_mean(name, others)}')
        interval = hook.get('interval', 1)
        if isinstance(interval, (int, float)) and interval == 0:
            never = ', or -1 to do it never' if type_name(hook) == 'CheckpointHook' else ''
            raise ValueError(f'{key}.interval=0: a positive number is needed{never}')
        if type_name(hook) == 'LoggerHook' and (not isinstance(interval, int) or interval < 0):
            raise ValueError(f'{key}.interval={interval!r}: a positive number is needed')


def _check_environment(cfg: Mapping[str, Any]) -> None:
    _check_names(cfg, _ENVIRONMENT, 'env_cfg')
    names = [*inspect.signature(set_multi_processing).parameters]
    _check_names(cfg.get('mp_cfg'), names, 'env_cfg.mp_cfg')
    method = (cfg.get('mp_cfg') or {}).get('mp_start_method', 'fork')
    allowed = multiprocessing.get_all_start_methods()
    if method not in allowed:
        raise ValueError(f"env_cfg.mp_cfg.mp_start_method='{method}': allowed are {shown(allowed)}")
    backend = (cfg.get('dist_cfg') or {}).get('backend', 'nccl')
    if backend not in _COMMUNICATION and ':' not in str(backend):
        raise ValueError(
            f"env_cfg.dist_cfg.backend='{backend}': no such backend"
            f'{did_you_mean(str(backend), _COMMUNICATION)}'
        )


def _check_names(part: Mapping[str, Any] | None, known: Iterable[str], key: str) -> None:
    for name in part or ():
        if name not in known:
            raise ValueError(f"{key} has no '{name}'{did_you_mean(name, known)}")
