"""Whether the state in a training checkpoint is whole: a damaged one fails late or not at all."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.optim import LBFGS

from mmoverlock.utils.checkpoint import why_unusable
from mmoverlock.utils.config import walk
from mmoverlock.utils.errors import one_line


def check_state(checkpoint: Mapping[str, Any], path: str) -> None:
    """Check what MMEngine takes from a checkpoint unseen: counters, logged values, schedules.

    Raises:
        ValueError: something is missing, or of another kind.
    """
    for key, value, kind in _expected(checkpoint):
        if not isinstance(value, kind) or isinstance(value, bool):
            found = 'missing' if value is None else f'a {type(value).__name__}'
            raise ValueError(f"resume: checkpoint '{path}' is damaged: {key} is {found}")
        if kind is int and value < 0:
            raise ValueError(f"resume: checkpoint '{path}' is damaged: {key} is {value}")
        if kind is HistoryBuffer and not _is_whole(value):
            raise ValueError(
                f"resume: checkpoint '{path}' is damaged: {key} is no series of values"
            )
    for part in ('optimizer', 'ema_state_dict'):
        for key, inner in walk(checkpoint.get(part), part):
            for name, value in inner.items():
                reason = why_unusable(value) if isinstance(value, torch.Tensor) else None
                if reason:
                    raise ValueError(
                        f"resume: checkpoint '{path}' is damaged: {key}.{name} is {reason}"
                    )


def _expected(checkpoint: Mapping[str, Any]) -> Iterable[tuple[str, Any, type]]:
    """Keys, values, and the types that these must have."""
    meta, hub = checkpoint['meta'], checkpoint['message_hub']
    yield 'meta', meta, Mapping
    for name in ('epoch', 'iter'):
        yield f'meta.{name}', meta.get(name), int
    if meta.get('seed') is not None:
        yield 'meta.seed', meta['seed'], int
    yield 'message_hub', hub, Mapping
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        yield f'message_hub.{name}', hub.get(name), Mapping
    for name, values in hub['log_scalars'].items():
        yield f'message_hub.log_scalars.{name}', values, HistoryBuffer
    yield 'optimizer', checkpoint['optimizer'], Mapping
    ema = checkpoint.get('ema_state_dict')
    if ema is not None:
        yield 'ema_state_dict', ema, Mapping
        for name, value in ema.items():
            yield f'ema_state_dict.{name}', value, torch.Tensor
    schedulers = checkpoint.get('param_schedulers')
    groups = schedulers if isinstance(schedulers, Mapping) else {'': schedulers or []}
    for name, states in groups.items():
        key = f'param_schedulers{name and f".{name}"}'
        yield key, states, list
        for number, state in enumerate(states):
            yield f'{key}.{number}', state, Mapping


def _is_whole(values: HistoryBuffer) -> bool:
    parts = [vars(values).get(name) for name in ('_log_history', '_count_history')]
    numbers = all(isinstance(one, np.ndarray) and one.dtype.kind in 'fiu' for one in parts)
    return numbers and parts[0].ndim == 1 and parts[0].shape == parts[1].shape


def try_step(
    wrapper: OptimWrapper, schedulers: Mapping[str, Any], states: Mapping[str, Any], path: str
) -> None:
    """Load an optimizer's state and take a step with gradients of zero, which shows if it fits.

    PyTorch compares no shapes and no values when it loads a state. The model that `wrapper` trains
    is changed; it is to be thrown away.

    Args:
        wrapper: Of the config.
        schedulers: With the checkpoint's states.
        states: The checkpoint's ``optimizer``.
        path: The file, for messages.

    Raises:
        ValueError: the step fails.
    """
    several = isinstance(wrapper, OptimWrapperDict)
    pairs = (
        [(one, states[name]) for name, one in wrapper.items()] if several else [(wrapper, states)]
    )
    try:
        for one, state in pairs:
            one.load_state_dict(dict(state))
            _step(one.optimizer)
        for one in schedulers.values():
            one.step()
    except Exception as error:  # a damaged state may fail anywhere
        raise ValueError(
            f"resume: the state of the optimizer or its schedule in checkpoint '{path}' does not "
            f'fit, or is damaged: {type(error).__name__}: {one_line(error)[:200]}'
        ) from error


def _step(optimizer: torch.optim.Optimizer) -> None:
    if isinstance(optimizer, LBFGS):  # it would have to run the model
        return
    parameters = [one for group in optimizer.param_groups for one in group['params']]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
