"""What a training does with the metrics of its validations: the best checkpoint, early stops."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS

from mmoverlock.utils.config import SCOPE, hook_configs, type_name, walk
from mmoverlock.utils.errors import did_you_mean, shown
from mmoverlock.utils.registry import find_class

_LIBRARIES = ('mmengine', 'mmdet', 'mmseg', 'mmpretrain')  # whose hooks add no metrics


def check_monitors(cfg: Config, names: Sequence[str] | None) -> None:
    """Compare the metrics that a training looks at with those that its validation computes.

    Args:
        cfg: Of the training. Without a validation, what waits for one is logged.
        names: Of the metrics; None if they are not known.

    Raises:
        ValueError: a metric is not computed.
    """
    monitors = [*_monitors(cfg)]
    if not cfg.get('val_dataloader'):
        for key, name in monitors:
            print_log(
                f"{key}='{name}' has no effect: there is no val_dataloader",
                logger='current',
                level=logging.WARNING,
            )
        return
    kinds = [find_class(HOOKS, hook) for _, hook in hook_configs(cfg)]
    if names is None or any(map(_may_add, kinds)):
        return
    names = [*names, *(name for kind in kinds for name in getattr(kind, 'METRICS', ()))]
    for key, name in monitors:
        if name != 'auto' and name not in names:
            raise ValueError(
                f"{key}='{name}': the validation computes {shown(names)}{did_you_mean(name, names)}"
            )


def _monitors(cfg: Config) -> Iterator[tuple[str, str]]:
    """The names of metrics in the config, with their keys."""
    for key, hook in hook_configs(cfg):
        best = hook.get('save_best') or []
        for name in best if isinstance(best, (list, tuple)) else [best]:
            yield f'{key}.save_best', str(name)
        if type_name(hook) == 'EarlyStoppingHook' and 'monitor' in hook:
            yield f'{key}.monitor', str(hook['monitor'])
    for key, part in walk(cfg.get('param_scheduler'), 'param_scheduler'):
        if type_name(part).startswith('ReduceOnPlateau'):
            yield f'{key}.monitor', str(part.get('monitor', 'loss'))


def _may_add(kind: Any) -> bool:
    """Whether a class of hooks is someone's own that may add metrics."""
    own = getattr(kind, '__module__', '').partition('.')[0] not in (*_LIBRARIES, SCOPE)
    return own and getattr(kind, 'after_val_epoch', None) is not Hook.after_val_epoch
