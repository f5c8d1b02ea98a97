"""A command's config: the file, and what the command line changes in it."""

import inspect
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
    if Path(cfg.work_dir).exists() and not Path(cfg.work_dir).is_dir():
        raise ValueError(f"work_dir '{cfg.work_dir}' is a file, not a directory")
    cfg.launcher = launcher
    return cfg


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
    try:
        cfg.merge_from_dict(dict(options))
    except AttributeError as error:  # MMEngine merges dicts only into dicts
        raise ValueError(
            f'--cfg-options {" ".join(options)}: a single number of a list cannot be set, '
            'give the whole list: key="[a,b]"'
        ) from error
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options: {one_line(error)}') from error
