"""What a run that is resumed takes from its checkpoint, and not from the config."""

import math
from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict

from .loops import Length

# Of an optimizer's groups: how the same steps are computed, or changed by every scheduler.
_NO_MATTER = ('params', 'param_names', 'lr', 'foreach', 'fused', 'capturable', 'differentiable')
# Of a scheduler's state: what the config says, not where the schedule is.
_SAID = (
    'begin', 'end', 'by_epoch', 'param_name', 'T_max', 'eta_min', 'eta_min_ratio', 'milestones',
    'gamma', 'step_size', 'power', 'start_factor', 'end_factor', 'factor', 'total_iters', 'periods',
    'total_steps', 'patience',
)  # fmt: skip


def resume_notes(
    checkpoint: Mapping[str, Any],
    wrapper: OptimWrapper,
    schedulers: Mapping[str, Any],
    ratio: float,
    length: Length,
    steps: int | None,
    path: str,
) -> list[str]:
    """What the checkpoint says otherwise than the config, a sentence each.

    Args:
        checkpoint: The file's contents.
        wrapper: Of the config.
        schedulers: Of the config, by their keys; they get the checkpoint's state.
        ratio: By which the learning rates of the config are scaled.
        length: Of the run.
        steps: Of an epoch; None if epochs have no end.
        path: The file, for messages.

    Raises:
        ValueError: the optimizer's state does not fit.
    """
    several = isinstance(wrapper, OptimWrapperDict)
    kept = {}
    for name, one in wrapper.items() if several else [('', wrapper)]:
        state = checkpoint['optimizer']
        state = state.get(name) if several else state
        if not isinstance(state, Mapping) or 'param_groups' not in state:
            raise ValueError(f"resume: checkpoint '{path}' has no state of optimizer '{name}'")
        kept |= _other_options(one.optimizer.param_groups, state['param_groups'], ratio, path)
    kept |= _other_schedule(schedulers, checkpoint.get('param_schedulers'))
    notes = []
    if kept:
        pairs = ', '.join(f'{key}={old} (config: {new})' for key, (old, new) in kept.items())
        notes.append(
            f'resume: the checkpoint holds, not the config, for {pairs}; to train on with other '
            f'values, start from its weights: load_from={path} without resume'
        )
    return notes + _other_length(checkpoint['meta'], length, steps)


def _other_options(
    own: list[dict[str, Any]], saved: list[dict[str, Any]], ratio: float, path: str
) -> dict[str, tuple[Any, Any]]:
    remedy = f'train with that one, or start from the weights: load_from={path} without resume'
    sizes, before = ([len(group['params']) for group in groups] for groups in (own, saved))
    if sizes != before:
        raise ValueError(
            f"resume: checkpoint '{path}' has an optimizer of {sum(before)} parameters in "
            f'{len(before)} groups, the config one of {sum(sizes)} in {len(sizes)}: {remedy}'
        )
    other = {}
    for new, old in zip(own, saved, strict=True):
        lacking = {*new} - {*old} - {*_NO_MATTER}
        lacking = sorted(key for key in lacking if not key.startswith('initial_'))
        if lacking == ['decoupled_weight_decay']:
            lacking = []  # of an earlier PyTorch
        if lacking:
            raise ValueError(
                f"resume: the optimizer of checkpoint '{path}' has no '{lacking[0]}', it is of "
                f'another kind than the config says: {remedy}'
            )
        for key, value in new.items():
            if key not in _NO_MATTER and not key.startswith('initial_') and key in old:
                before = old.get(f'initial_{key}', old[key])
                if not _same(before, value):
                    other.setdefault(f'optimizer.{key}', (before, value))
        rate = new.get('initial_lr', new['lr']) * ratio  # schedulers have changed 'lr'
        if not _same(old.get('initial_lr', rate), rate):
            other.setdefault('optimizer.lr', (f'{old["initial_lr"]:g}', f'{rate:g}'))
    return other


def _other_schedule(schedulers: Mapping[str, Any], saved: Any) -> dict[str, tuple[Any, Any]]:
    """Also loads the checkpoint's states into the schedulers, as MMEngine does."""
    if saved is None:
        return {}
    states = (
        [one for part in saved.values() for one in part] if isinstance(saved, Mapping) else saved
    )
    other = {}
    if len(states) != len(schedulers):
        other['the number of schedulers'] = len(states), len(schedulers)
    for (key, one), state in zip(schedulers.items(), states, strict=False):
        for name in _SAID:
            new, old = getattr(one, name, None), state.get(name)
            if not _same(new, old) and not (name == 'eta_min' and new is None):
                other[f'{key}.{name}'] = _plain(old), _plain(new)
        one.load_state_dict(state)
    return other


def _other_length(meta: Mapping[str, Any], length: Length, steps: int | None) -> list[str]:
    epoch, iteration = meta.get('epoch', 0), meta.get('iter', 0)
    notes = []
    if length.by_epoch and steps and not 0 <= iteration - epoch * steps <= steps:
        notes.append(
            f'resume: an epoch has {steps} steps, but {iteration / max(epoch, 1):g} in the '
            'checkpoint: data, batch size or number of processes have changed; what is counted in '
            'iterations goes on from there'
        )
    done, end = (epoch, length.epochs) if length.by_epoch else (iteration, length.iterations)
    if end and done >= end:
        unit = 'epoch' if length.by_epoch else 'iteration'
        notes.append(
            f'resume: nothing is left to train: the checkpoint is of {unit} {done}, where the run '
            f'ends; set train_cfg.{"max_epochs" if length.by_epoch else "max_iters"}'
        )
    return notes


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, Mapping) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other
