"""A tool's config: the file, and what the command line changes in it."""

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from mmoverlock.registry import SCOPE

from .errors import did_you_mean, one_line

_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
_VARIABLES = {'data_root', 'num_classes'}  # that data sets' parts define once and use many times
_OTHER_KEYS = ('runner_type', 'sync_bn', 'find_unused_parameters', 'model_wrapper_cfg', 'compile')


def load_config(
    path: str,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config file and set what every run needs.

    Args:
        path: The file.
        options: Dotted keys and their values, as from ``--cfg-options``. The variables
            ``data_root`` and ``num_classes`` also change wherever the config uses their value.
        work_dir: Where logs go; by default the config's, else ``./work_dirs/<config name>``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ValueError: the file is missing, no config, or fails; or an option has no place in it.
    """
    cfg = _read(path)
    _drop_scope(cfg._cfg_dict)
    _set_options(cfg, options or {})
    if work_dir or not cfg.get('work_dir'):
        cfg.work_dir = work_dir or f'./work_dirs/{Path(path).stem}'
    if Path(cfg.work_dir).exists() and not Path(cfg.work_dir).is_dir():
        raise ValueError(f"work_dir '{cfg.work_dir}' is a file, not a directory")
    cfg.launcher = launcher
    return cfg


def _read(path: str) -> Config:
    if not Path(path).is_file():
        raise ValueError(f"config '{path}' does not exist")
    if Path(path).suffix not in _SUFFIXES:
        raise ValueError(f"config '{path}' is not one of {', '.join(_SUFFIXES)}")
    try:
        if path.endswith('.py'):
            ast.parse(Path(path).read_text(encoding='utf-8'))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, 'lineno', None)
        where = f', line {line}' if line else ''
        raise ValueError(f"config '{path}'{where}: {getattr(error, 'msg', error)}") from error
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:  # of a base
        raise ValueError(f"config '{path}': '{error.filename}' does not exist") from error
    except Exception as error:  # a config is a program: anything may fail in it or in its bases
        reason = str(error).strip("'").partition('\n')[0]
        raise ValueError(f"config '{path}': {type(error).__name__}: {reason}") from error


def _drop_scope(part: Any) -> None:
    """Forget what was inherited by ``mmoverlock::``: MMEngine passes it on to collate functions."""
    if isinstance(part, Mapping):
        if part.get('_scope_') == SCOPE:
            del part['_scope_']
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for one in part:
            _drop_scope(one)


def _follow(part: Any, name: str, old: Any, new: Any) -> None:
    """Give every `name` in the config that has the value `old` the value `new`, in place."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == name and value == old:
                part[key] = new
            _follow(value, name, old, new)
    elif isinstance(part, (list, tuple)):
        for one in part:
            _follow(one, name, old, new)


def _set_options(cfg: Config, options: Mapping[str, Any]) -> None:
    known = {*cfg, *inspect.signature(Runner.__init__).parameters, *_OTHER_KEYS}
    for key in options:
        first = key.partition('.')[0]
        if first not in known:
            raise ValueError(
                f"--cfg-options {key}: the config has no '{first}'{did_you_mean(first, known)}"
            )
    for name in _VARIABLES & options.keys() & set(cfg):
        _follow(cfg._cfg_dict, name, cfg[name], options[name])
    try:
        cfg.merge_from_dict(dict(options))
    except AttributeError as error:  # MMEngine merges dicts only into dicts
        raise ValueError(
            f'--cfg-options {" ".join(options)}: a single number of a list cannot be set, '
            'give the whole list: key="[a,b]"'
        ) from error
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options: {one_line(error)}') from error


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: bfloat16 where the GPU has it, else float16 with loss scaling.

    Raises:
        ValueError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise ValueError('--amp needs a GPU, this machine has none')
    bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.dtype = 'bfloat16' if bfloat16 else 'float16'
    cfg.optim_wrapper.loss_scale = 1.0 if bfloat16 else 'dynamic'


def scale_lr(cfg: Config) -> None:
    """Scale the learning rate to the real batch size.

    Raises:
        ValueError: the config does not say which batch size its learning rate is meant for.
    """
    if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
    cfg.auto_scale_lr.enable = True


def set_resume(cfg: Config, path: str) -> None:
    """Continue from `path`, or from the last checkpoint in the work_dir when it is 'auto'.

    Raises:
        ValueError: there is nothing to continue from.
    """
    if path == 'auto':
        latest = find_latest_checkpoint(cfg.work_dir)
        if latest is None:
            raise ValueError(f"--resume: no checkpoint in work_dir '{cfg.work_dir}'")
        # The work_dir may have been moved since.
        path = latest if Path(latest).is_file() else str(Path(cfg.work_dir, Path(latest).name))
    elif '://' not in path and not Path(path).is_file():
        raise ValueError(f"--resume: checkpoint '{path}' does not exist")
    cfg.resume = True
    cfg.load_from = path


def build_runner(cfg: Config) -> Runner:
    """Build the Runner, or what ``runner_type`` names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def add_guard(cfg: Config, strict: bool) -> None:
    """Add :class:`CheckpointGuard` to the config's hooks and, if there is none, `ImageGuard`."""
    guard = dict(type='CheckpointGuard', strict=strict)
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') != guard['type']]
    if not any(hook.get('type') == 'ImageGuard' for hook in hooks):
        hooks.append(dict(type='ImageGuard'))
    cfg.custom_hooks = [*hooks, guard]
