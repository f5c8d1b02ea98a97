"""Checks of data loaders, and how many steps and images they give a process."""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmoverlock.utils.config import type_name
from mmoverlock.utils.errors import did_you_mean, one_line
from mmoverlock.utils.registry import unknown_type

# What MMEngine reads before it builds PyTorch's DataLoader of the rest.
_MMENGINE_KEYS = ('num_batch_per_epoch', 'disable_subprocess_warning')


@dataclass
class Batches:
    """What a loader gives one process.

    Attributes:
        steps: Batches until it ends; None if it never does.
        size: Images of a batch.
        last: Images of the last batch; `size` if there is no other.
        images: Of an epoch; those of an endless loader's data set.
        option: The key of the loader's `drop_last`, below the loader.
    """

    steps: int | None
    size: int
    last: int
    images: int
    option: str


def check_loader(cfg: Mapping[str, Any], dataset: Any, key: str, processes: int) -> Batches:
    """Build the loader that `cfg` describes around a data set that is built.

    What an evaluation or an epoch leaves out because of ``num_batch_per_epoch`` is logged.

    Args:
        cfg: Of the loader.
        dataset: Built of ``cfg['dataset']``.
        key: Of `cfg` in the config.
        processes: How many share the data set.

    Raises:
        ValueError: an argument is unknown or wrong, there is no batch, or an evaluation would drop
            images.
    """
    _check_keys(cfg, key)
    batches = _batches(build_loader(cfg, dataset, key), cfg, processes)
    if batches.steps == 0:
        raise ValueError(
            f'{key}: batch_size={batches.size} leaves no batch of the {batches.images} images of '
            f'a process, since {batches.option}=True drops an incomplete one'
        )
    training = key == 'train_dataloader'
    left = batches.images - (batches.steps or 0) * batches.size
    if not training and batches.steps and left > 0:
        raise ValueError(
            f'{key}.{batches.option}=True: {left} of the {batches.images} images of a process '
            'would not be evaluated; set it to False'
        )
    if cfg.get('num_batch_per_epoch'):
        _check_part(cfg['num_batch_per_epoch'] * batches.size * processes, len(dataset), key)
    return batches


def build_loader(cfg: Mapping[str, Any], dataset: Any, key: str) -> DataLoader:
    """Build the loader `cfg`, found under `key`, around a data set; ValueError if that fails."""
    dataset.__deepcopy__ = lambda memo: dataset  # MMEngine copies the config with what is in it
    try:
        return Runner.build_dataloader({**cfg, 'dataset': dataset}, seed=0)
    except Exception as error:  # built from the user's words: the cause is in the message
        message = one_line(error)
        kind = '' if isinstance(error, (ValueError, AssertionError)) else type(error).__name__
        raise ValueError(f'{key}: {kind and f"{kind}: "}{message}') from error
    finally:
        del dataset.__deepcopy__


def _check_part(used: int, images: int, key: str) -> None:
    """Log that `used` of the `images` are read; ValueError if there are fewer."""
    option = f'{key}.num_batch_per_epoch'
    if used > images:
        raise ValueError(f'{option} asks for {used} images, but the data set has {images}')
    if used < images:
        whole = 'an epoch is' if key == 'train_dataloader' else 'an evaluation is of'
        print_log(
            f'{option}: {whole} the first {used} of {images} images, the others are never used',
            logger='current',
            level=logging.WARNING,
        )


def _check_keys(cfg: Mapping[str, Any], key: str) -> None:
    if 'sampler' not in cfg:
        raise ValueError(f'{key} has no sampler')
    known = {*inspect.signature(DataLoader).parameters, *_MMENGINE_KEYS}
    for name in cfg:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{key}: a data loader has no argument '{name}'{hint}")
    for name in ('collate_fn', 'worker_init_fn'):
        if cfg.get(name) is not None and _function(cfg[name]) is None:
            raise ValueError(unknown_type(FUNCTIONS, type_name(cfg[name]), f'{key}.{name}'))
    size = cfg.get('batch_size', 1)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f'{key}.batch_size={size!r}: a positive number is needed')


def _function(cfg: Any) -> Any:
    """The function that `cfg` names, looked up as MMEngine does: in no library's scope."""
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    return FUNCTIONS.get(kind) if isinstance(kind, str) else kind


def _batches(loader: DataLoader, cfg: Mapping[str, Any], processes: int) -> Batches:
    own = cfg.get('batch_sampler')
    source = loader.batch_sampler if own else loader
    size = getattr(source, 'batch_size', None) or cfg.get('batch_size', 1)
    sampler = getattr(source, 'sampler', loader.sampler)
    number = len(sampler)
    endless = next(islice(sampler, number, None), None) is not None
    images = -(-number // processes)
    if cfg.get('num_batch_per_epoch'):
        images = cfg['num_batch_per_epoch'] * size
    drop = bool(getattr(source, 'drop_last', False))
    steps = images // size if drop else -(-images // size)
    last = size if drop or endless else images % size or size
    option = 'batch_sampler.drop_last' if own else 'drop_last'
    return Batches(None if endless else steps, size, last, images, option)


def check_ends(cfg: Mapping[str, Any], batches: Batches, key: str, by_epoch: bool) -> None:
    """Raise ValueError if an epoch, or an evaluation, would never end."""
    if not by_epoch or batches.steps is not None:
        return
    remedy = f'set {key}.sampler.type=DefaultSampler'
    if key == 'train_dataloader':
        remedy += ", or train by iterations with train_cfg.type='IterBasedTrainLoop'"
    raise ValueError(f'{key}.sampler: {type_name(cfg["sampler"])} never ends: {remedy}')
