"""Checks of the checkpoints that a run will load."""

from collections.abc import Sequence

from mmengine.config import Config
from torch import nn

from mmoverlock.engine.checkpoints import fit_state_dict
from mmoverlock.engine.run_files import TRAINING_PARTS
from mmoverlock.utils.checkpoint import read_checkpoint, state_dict_of
from mmoverlock.utils.config import as_list, walk
from mmoverlock.utils.errors import shown

from .paths import check_path


def check_checkpoints(cfg: Config, model: nn.Module, training: bool) -> Sequence[str] | None:
    """Read what the run will load and match it with the model; files at URLs are checked later.

    Returns:
        The classes of the run that is resumed, if there is one and its checkpoint names them.

    Raises:
        ValueError, OSError: a file cannot be read safely, or does not belong to the model.
    """
    path, classes = cfg.get('load_from'), None
    if path and '://' not in path:
        checkpoint = read_checkpoint(path)
        resume = bool(training and cfg.get('resume'))
        absent = [part for part in TRAINING_PARTS if resume and part not in checkpoint]
        if absent:
            raise ValueError(
                f"resume: checkpoint '{path}' has no '{absent[0]}', it holds weights only: "
                f'to start from them, set load_from={path} and do not resume'
            )
        fit_state_dict(model, checkpoint, resume or not training, path)
        if resume:
            classes = (checkpoint['meta'].get('dataset_meta') or {}).get('classes')
    if not training or path:
        return classes  # initial weights are not used
    parts = walk(cfg.model, 'model')
    for key, init in ((key, one) for key, part in parts for one in as_list(part.get('init_cfg'))):
        path, prefix = str(init.get('checkpoint')), init.get('prefix') or ''
        if init.get('type') != 'Pretrained' or '://' in path:
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


def check_resumed_classes(before: Sequence[str], now: Sequence[str] | None, path: str) -> None:
    """Raise ValueError if a run that is resumed has other classes, where both are named."""
    if now and list(before) != list(now):
        raise ValueError(
            f"resume: checkpoint '{path}' is of other classes ({shown(before)}) than the data "
            f'({shown(now)})'
        )
