"""Checks of the checkpoints that a run will load."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from torch import nn

from mmoverlock.engine.checkpoints import check_finite, fit_state_dict, merge_like
from mmoverlock.engine.run_files import TRAINING_PARTS
from mmoverlock.utils.checkpoint import read_checkpoint, state_dict_of
from mmoverlock.utils.config import PRETRAINED, as_list, type_name, walk
from mmoverlock.utils.errors import shown

from .paths import check_path
from .resume_state import check_state


def check_checkpoints(cfg: Config, model: nn.Module, training: bool) -> dict[str, Any] | None:
    """Read what the run will load and match it with the model; files at URLs are checked later.

    Returns:
        The checkpoint that is resumed or tested, if there is one.

    Raises:
        ValueError, OSError: a file cannot be read safely, or does not belong to the model.
    """
    path, loaded = cfg.get('load_from'), None
    if path and '://' not in path:
        checkpoint = read_checkpoint(path)
        resume = bool(training and cfg.get('resume'))
        absent = [part for part in TRAINING_PARTS if resume and part not in checkpoint]
        if absent:
            raise ValueError(
                f"resume: checkpoint '{path}' has no '{absent[0]}', it holds weights only: "
                f'to start from them, set load_from={path} and do not resume'
            )
        if not training:
            merge_like(model, checkpoint)
        fit_state_dict(model, checkpoint, resume or not training, path)
        if resume:
            check_state(checkpoint, path)
            _check_state(checkpoint, path)
        if resume or not training:
            loaded = checkpoint
    if not training or path:
        return loaded  # initial weights are not used
    parts = walk(cfg.model, 'model')
    for key, init in ((key, one) for key, part in parts for one in as_list(part.get('init_cfg'))):
        path, prefix = str(init.get('checkpoint')), init.get('prefix') or ''
        if type_name(init) not in PRETRAINED or '://' in path:
            continue
        check_path(path, f'{key}.init_cfg.checkpoint')
        checkpoint = read_checkpoint(path)
        if prefix:
            named = state_dict_of(checkpoint).items()
            checkpoint = {k.removeprefix(prefix): v for k, v in named if k.startswith(prefix)}
        module = dict(model.named_modules()).get(key.removeprefix('model').strip('.'))
        if module is not None:
            fit_state_dict(module, checkpoint, path=path)
    return None


def _check_state(checkpoint: Mapping[str, Any], path: str) -> None:
    """Raise ValueError if a moving average or an optimizer's state holds NaN or infinity."""
    tensors = {}
    for part in ('ema_state_dict', 'optimizer'):
        for key, value in walk(checkpoint.get(part), part):
            tensors |= {f'{key}.{name}': one for name, one in value.items()}
    try:
        check_finite(tensors)
    except ValueError as error:
        raise ValueError(str(error).replace('checkpoint', f"checkpoint '{path}'", 1)) from error


def check_resumed_classes(
    before: Sequence[str] | None, now: Sequence[str] | None, path: str
) -> None:
    """Raise ValueError if a run that is resumed has other classes, where both are named."""
    if before and now and list(before) != list(now):
        raise ValueError(
            f"resume: checkpoint '{path}' is of other classes ({shown(before)}) than the data "
            f'({shown(now)})'
        )
