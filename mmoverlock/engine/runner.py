"""The Runner of a config, with the guards that every run should have."""

import functools

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmoverlock.utils.config import as_list, type_name
from mmoverlock.utils.errors import one_line

from .scale_lr import scale_lr


def build_runner(cfg: Config, strict: bool) -> Runner:
    """Build the Runner, or what ``runner_type`` names.

    The config's hooks get a :class:`CheckpointGuard`, an :class:`OutputGuard`,
    :class:`ResumePosition`, :class:`Preemption` and, if there is none, a :class:`FiniteLossGuard`,
    an :class:`ImageGuard`, a :class:`LabelGuard`, an :class:`EvaluationGuard` and a
    :class:`FiniteScoresGuard`; MMEngine's CheckpointHook becomes an :class:`AtomicCheckpointHook`.
    The learning rate is scaled by :func:`scale_lr`.

    Args:
        cfg: Of a run; changed in place.
        strict: Whether a checkpoint must hold all of the model's tensors.

    Raises:
        OSError: the work_dir cannot be written.
        ValueError: the config is wrong where the checks before a run do not look.
    """
    guards = [dict(type='CheckpointGuard', strict=strict)]
    guards += [dict(type=name) for name in ('OutputGuard', 'ResumePosition', 'Preemption')]
    names = [guard['type'] for guard in guards]
    hooks = [hook for hook in as_list(cfg.get('custom_hooks')) if type_name(hook) not in names]
    kinds = ('FiniteLossGuard', 'ImageGuard', 'LabelGuard', 'EvaluationGuard', 'FiniteScoresGuard')
    for kind in kinds:
        if not any(type_name(hook) == kind for hook in hooks):
            hooks.append(dict(type=kind))
    cfg.custom_hooks = [*hooks, *guards]
    default = dict(type='CheckpointHook', interval=1)  # MMEngine's, if the config says nothing
    cfg.default_hooks = {'checkpoint': default, **(cfg.get('default_hooks') or {})}
    for hook in (cfg.default_hooks['checkpoint'], *cfg.custom_hooks):
        if hook and type_name(hook) == 'CheckpointHook':
            hook['type'] = 'AtomicCheckpointHook'
    try:
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except OSError as error:  # of a full disk, which names no file
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(f"work_dir '{cfg.work_dir}' cannot be written: {error.strerror}") from error
    except (AssertionError, AttributeError, LookupError, TypeError) as error:
        reason = f'{type(error).__name__}: {one_line(error)}'
        raise ValueError(f'the Runner cannot be built from the config: {reason}') from error
    if getattr(type(runner), 'scale_lr', None) is Runner.scale_lr:
        runner.scale_lr = functools.partial(scale_lr, runner)
    return runner
