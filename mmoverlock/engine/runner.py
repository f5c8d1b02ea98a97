"""The Runner of a config, with the guards that every run should have."""

import functools

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmoverlock.utils.config import as_list, type_name

from .scale_lr import scale_lr


def build_runner(cfg: Config, strict: bool) -> Runner:
    """Build the Runner, or what ``runner_type`` names.

    The config's hooks get a :class:`CheckpointGuard` and, if there is none, a
    :class:`FiniteLossGuard`, an :class:`ImageGuard` and an :class:`EvaluationGuard`. The learning
    rate is scaled by :func:`scale_lr`.

    Args:
        cfg: Of a run; changed in place.
        strict: Whether a checkpoint must hold all of the model's tensors.
    """
    guard = dict(type='CheckpointGuard', strict=strict)
    hooks = [hook for hook in as_list(cfg.get('custom_hooks')) if type_name(hook) != guard['type']]
    for kind in ('FiniteLossGuard', 'ImageGuard', 'EvaluationGuard'):
        if not any(type_name(hook) == kind for hook in hooks):
            hooks.append(dict(type=kind))
    cfg.custom_hooks = [*hooks, guard]
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if getattr(type(runner), 'scale_lr', None) is Runner.scale_lr:
        runner.scale_lr = functools.partial(scale_lr, runner)
    return runner
