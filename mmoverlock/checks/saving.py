"""Whether a training saves what it has learnt."""

from collections.abc import Iterator

from mmengine.config import Config

from mmoverlock.utils.config import hook_configs, type_name

_USUAL = dict(type='CheckpointHook', interval=1)  # what a config gets that names none
_KINDS = ('CheckpointHook', 'AtomicCheckpointHook')


def saving_notes(cfg: Config) -> Iterator[str]:
    """A line if a training saves no checkpoint, or none before its end where it was to.

    A ``save_best`` that no validation serves is no reason; it is told by :func:`check_monitors`.
    """
    hooks = [(key, hook) for key, hook in hook_configs(cfg) if type_name(hook) in _KINDS]
    if 'checkpoint' not in (cfg.get('default_hooks') or {}):
        hooks.append(('default_hooks.checkpoint', _USUAL))
    if not hooks:
        yield 'default_hooks.checkpoint: there is no CheckpointHook, nothing will be saved'
    length = cfg.train_cfg.get('max_epochs')
    for key, hook in hooks:
        interval, last = hook.get('interval', -1), hook.get('save_last', True)
        if not isinstance(interval, (int, float)):  # another mistake
            continue
        if hook.get('by_epoch', True) and length is None and interval > 0:
            when = 'before the end' if last or interval == 1 else 'at all'
            yield (
                f'{key}.by_epoch=True, but train_cfg counts iterations: nothing will be saved '
                f'{when}; set by_epoch=False'
            )
            continue
        best = hook.get('save_best') and cfg.get('val_dataloader')
        whole = length if hook.get('by_epoch', True) else cfg.train_cfg.get('max_iters')
        never = interval <= 0 or (whole is not None and interval > whole)
        if never and not last and not best and len(hooks) == 1:
            yield f'{key}: interval={interval} and save_last=False, nothing will be saved'
