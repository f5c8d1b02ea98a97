"""Checks of the optimizer and of the schedules of its learning rates."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmoverlock.utils.config import each
from mmoverlock.utils.errors import one_line
from mmoverlock.utils.registry import build

from .loops import Length

_FOREVER = 10**8  # a scheduler that is to have no end has MMEngine's 10**9


def check_optimizer(cfg: Config, model: nn.Module) -> OptimWrapper:
    """Build what trains the model; ValueError if that fails."""
    try:
        with _quiet():  # it is built, and logged, once more
            return build_optim_wrapper(model, deepcopy(cfg.optim_wrapper))
    except Exception as error:  # built from the user's words: the cause is in the message
        message = one_line(error).partition('. Please check whether')[0]
        if not isinstance(error, (ValueError, AssertionError)):
            message = f'{type(error).__name__}: {message}'
        raise ValueError(f'optim_wrapper: {message}') from error


def check_schedulers(
    cfg: Config, wrapper: OptimWrapper, length: Length, steps: int
) -> dict[str, Any]:
    """Build the schedulers of the learning rates, momenta, ...; ValueError if one cannot be.

    Args:
        cfg: Of the run.
        wrapper: Of :func:`check_optimizer`; its learning rates are changed.
        length: Of the run.
        steps: Of an epoch.

    Returns:
        The schedulers by their keys in the config.
    """
    given = cfg.get('param_scheduler')
    several = isinstance(wrapper, OptimWrapperDict)
    if isinstance(given, Mapping) and 'type' not in given:
        if not several or {*given} != {*wrapper.keys()}:
            names = [*wrapper.keys()] if several else 'one optimizer'
            raise ValueError(f'param_scheduler has {[*given]}, but optim_wrapper has {names}')
        pairs = [
            (key, part, wrapper[name])
            for name, one in given.items()
            for key, part in each(one, f'param_scheduler.{name}')
        ]
    else:
        first = next(iter(wrapper.values())) if several else wrapper
        pairs = [(key, part, first) for key, part in each(given, 'param_scheduler')]
    built = {}
    for key, part, one in pairs:
        by_epoch = part.get('by_epoch', True)
        end = (length.epochs or 1) if by_epoch else length.iterations
        part = {**({'end': end} if end else {}), **part}
        part |= dict(optimizer=one, epoch_length=steps)
        built[key] = build(PARAM_SCHEDULERS, part, key, copied=False)
    return built


def schedule_notes(schedulers: Mapping[str, Any], length: Length) -> list[str]:
    """What is odd about a schedule and the length of a run, a sentence each.

    Args:
        schedulers: Those of :func:`check_schedulers`, in the state in which they will be used.
        length: Of the run.
    """
    notes, rest = [], []
    for key, one in schedulers.items():
        if one.param_name != 'lr':
            continue
        name = f'{key} ({type(one).__name__})'
        unit, whole = ('epoch', length.epochs) if one.by_epoch else ('iteration', length.iterations)
        if one.by_epoch and not length.by_epoch:
            notes.append(
                f'{name} counts epochs, but the run counts iterations: it changes nothing; set '
                'by_epoch=False'
            )
            continue
        if not whole:
            continue
        last = min(one.end, whole)
        if whole < one.end < _FOREVER:
            notes.append(
                f'{name} ends at {unit} {one.end}, but the run at {unit} {whole}: '
                'the learning rate does not get to the end of its schedule'
            )
        period = getattr(one, 'T_max', None)
        if period and period < last - one.begin:
            notes.append(
                f'{name}: T_max={period}: from {unit} {one.begin + period} to {last} the learning '
                'rate rises again'
            )
        rest.append((one.end / whole, one.end, unit, whole, one))
    if rest and not notes:
        share, end, unit, whole, one = max(rest, key=lambda row: row[0])
        steady = type(one).__name__ in ('LinearLR', 'ConstantLR')  # a warm-up and nothing else
        if share < 1 and not steady:
            notes.append(
                f'param_scheduler ends at {unit} {end} of {whole}: the rest trains at the last '
                'learning rate'
            )
    return notes


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
