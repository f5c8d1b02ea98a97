"""A command's config: the file, and what the command line changes in it."""

import difflib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmoverlock.datasets.image_bits import KEY as IMAGE_BITS
from mmoverlock.datasets.image_bits import use_image_bits
from mmoverlock.utils.config import read_config, walk
from mmoverlock.utils.errors import did_you_mean, one_line

_VARIABLES = {'data_root', 'num_classes'}  # that data sets' parts define once and use many times
_OTHER_KEYS = (
    'runner_type', 'sync_bn', 'find_unused_parameters', 'model_wrapper_cfg', 'compile', IMAGE_BITS,
)  # fmt: skip


def load_config(
    path: str,
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config file and set what every run needs; ValueError if an option has no place in it.

    The options are those of ``--cfg-options``. Of them ``data_root`` and ``num_classes`` also
    change wherever the config uses their value. The work_dir is by default the config's, else
    ``./work_dirs/<config name>``.
    """
    cfg = read_config(path)
    _set_options(cfg, options or {})
    use_image_bits(cfg)
    if work_dir or not cfg.get('work_dir'):
        cfg.work_dir = work_dir or f'./work_dirs/{Path(path).stem}'
    _check_work_dir(cfg.work_dir)
    _fit_workers(cfg)
    cfg.launcher = launcher
    return cfg


def _check_work_dir(work_dir: str) -> None:
    folder = Path(work_dir).absolute()
    found = next(path for path in (folder, *folder.parents) if path.exists())
    if not found.is_dir():
        where = '' if found == folder else f": '{found}'"
        raise ValueError(f"work_dir '{work_dir}'{where} is a file, not a directory")
    if not os.access(found, os.W_OK | os.X_OK):
        raise ValueError(f"work_dir '{work_dir}': '{found}' cannot be written to")


def _fit_workers(cfg: Config) -> None:
    """Without workers leave out what a data loader takes only with some."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if isinstance(loader, Mapping) and not loader.get('num_workers'):
            for name in ('persistent_workers', 'prefetch_factor', 'multiprocessing_context'):
                loader.pop(name, None)


def _set_options(cfg: Config, options: Mapping[str, Any]) -> None:
    known = {*cfg, *inspect.signature(Runner.__init__).parameters, *_OTHER_KEYS}
    for key in options:
        first = key.partition('.')[0]
        if first not in known:
            raise ValueError(
                f"--cfg-options {key}: the config has no '{first}'{did_you_mean(first, known)}"
            )
    for name in _VARIABLES & options.keys() & set(cfg):
        old = cfg[name]
        for _, part in walk(cfg._cfg_dict):
            if name in part and part[name] == old:
                part[name] = options[name]
    for key in options:
        _check_option(cfg, key)
    try:
        cfg.merge_from_dict(dict(options))
    except AttributeError as error:  # MMEngine merges dicts only into dicts
        raise ValueError(
            f'--cfg-options {" ".join(options)}: a single number of a list cannot be set, '
            'give the whole list: key="[a,b]"'
        ) from error
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options: {one_line(error)}') from error


def _check_option(cfg: Config, key: str) -> None:
    """Refuse a new name that is nearly one that stands beside it.

    Parts with a type are checked when they are built; nothing checks the others.
    """
    names = key.split('.')
    part: Any = cfg
    for place, name in enumerate(names):
        if isinstance(part, (list, tuple)) and name.isdecimal() and int(name) < len(part):
            part = part[int(name)]
            continue
        if not isinstance(part, (Config, Mapping)):
            return
        if name in part:
            part = part[name]
            continue
        close = difflib.get_close_matches(name, [*map(str, part)], n=1, cutoff=0.8)
        if place and 'type' not in part and close:
            where = '.'.join(names[:place])
            raise ValueError(
                f"--cfg-options {key}: {where} has no '{name}', did you mean '{close[0]}'?"
            )
        return
