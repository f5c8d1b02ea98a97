"""Checks of the loops: what a run counts, how long it is."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.registry import LOOPS

from mmoverlock.utils.config import type_name
from mmoverlock.utils.errors import did_you_mean
from mmoverlock.utils.registry import check_type, find_class

from .loaders import Batches

_RUNNERS = ('runner', 'dataloader', 'evaluator')  # arguments that the Runner gives
_USUAL = dict(val_cfg='ValLoop', test_cfg='TestLoop')


@dataclass
class Length:
    """How long a training is.

    Attributes:
        by_epoch: Whether the run counts epochs.
        epochs: None if the run does not count them.
        iterations: None if they are not known.
    """

    by_epoch: bool
    epochs: int | None
    iterations: int | None


def check_loop(cfg: Config, key: str) -> None:
    """Raise ValueError if the loop under `key` lacks an argument, or has a wrong one."""
    loop = cfg.get(key)
    if not isinstance(loop, Mapping):
        raise ValueError(f'{key}={loop!r}: a dict is needed')
    given = {name for name in loop if name not in ('type', '_scope_')}
    if key == 'train_cfg':
        if ('type' in loop) == ('by_epoch' in loop):
            raise ValueError(f'{key} needs a type, or by_epoch=True or False, and not both')
        given.discard('by_epoch')
        usual = 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'
    else:
        usual = _USUAL[key]
    whole = loop if 'type' in loop else {'type': usual}
    check_type(LOOPS, whole, key)
    parameters = inspect.signature(find_class(LOOPS, whole)).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    needed = {name for name, one in parameters.items() if one.default is inspect.Parameter.empty}
    for name in sorted(given - {*parameters}):
        hint = did_you_mean(name, parameters)
        raise ValueError(f"{key}: {type_name(whole)} has no argument '{name}'{hint}")
    for name in sorted(needed - given - {*_RUNNERS}):
        raise ValueError(f'{key} has no {name}')
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        value = loop.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f'{key}.{name}={value!r}: a positive number is needed')


def run_length(cfg: Config, batches: Batches) -> Length:
    """The length of a training whose loop has been checked."""
    epochs, iterations = cfg.train_cfg.get('max_epochs'), cfg.train_cfg.get('max_iters')
    if iterations is None and epochs and batches.steps:
        iterations = epochs * batches.steps
    return Length(epochs is not None, epochs, iterations)
