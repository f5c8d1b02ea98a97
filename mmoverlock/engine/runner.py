"""The Runner of a config, with the guards that every run should have."""

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmoverlock.utils.config import as_list


def build_runner(cfg: Config, strict: bool) -> Runner:
    """Build the Runner, or what ``runner_type`` names.

    The config's hooks get a :class:`CheckpointGuard`, an :class:`OutputGuard` and, if there is
    none, an :class:`ImageGuard`; MMEngine's CheckpointHook becomes an
    :class:`AtomicCheckpointHook`.

    Args:
        cfg: Of a run; changed in place.
        strict: Whether a checkpoint must hold all of the model's tensors.

    Raises:
        OSError: the work_dir cannot be written.
    """
    guards = [dict(type='CheckpointGuard', strict=strict), dict(type='OutputGuard')]
    names = [guard['type'] for guard in guards]
    hooks = [hook for hook in as_list(cfg.get('custom_hooks')) if hook.get('type') not in names]
    if not any(hook.get('type') == 'ImageGuard' for hook in hooks):
        hooks.append(dict(type='ImageGuard'))
    cfg.custom_hooks = [*hooks, *guards]
    default = dict(type='CheckpointHook', interval=1)  # MMEngine's, if the config says nothing
    default_hooks = {'checkpoint': default, **(cfg.get('default_hooks') or {})}
    for hook in (default_hooks['checkpoint'], *cfg.custom_hooks):
        if hook and hook.get('type') in (
            CheckpointHook,
            'CheckpointHook',
            'mmengine.CheckpointHook',
        ):
            hook['type'] = 'AtomicCheckpointHook'
    cfg.default_hooks = default_hooks
    try:
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except OSError as error:  # of a full disk, which names no file
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(f"work_dir '{cfg.work_dir}' cannot be written: {error.strerror}") from error
