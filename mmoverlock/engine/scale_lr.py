"""The learning rate for the batch that a step really has."""

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner, find_latest_checkpoint
from torch.utils.data import DataLoader

from mmoverlock.utils.config import as_list, type_name

_BOUNDS = ('eta_min', 'eta_max', 'min_value')  # of schedulers, in units of the learning rate


def scale_lr(
    runner: Runner, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None
) -> None:
    """Stands for :meth:`Runner.scale_lr`: the images of a step count, not those of a loader.

    A step has batch size × processes × ``accumulative_counts`` images. The whole schedule is
    scaled: besides the learning rates the bounds that schedulers name in its units, or the rate of
    a small batch would rise to its minimum.

    A run that is resumed takes rates and schedule from its checkpoint, and the log says so.

    Raises:
        ValueError: ``auto_scale_lr`` has no positive ``base_batch_size``.
    """
    if not (auto_scale_lr or {}).get('enable'):
        return
    several = isinstance(optim_wrapper, OptimWrapperDict)
    wrappers = dict(optim_wrapper.items()) if several else {'': optim_wrapper}
    schedulers = runner.param_schedulers
    own = isinstance(schedulers, Mapping) and 'type' not in schedulers
    images = batch_size(runner.train_dataloader) * runner.world_size
    ratios = {}
    for name, wrapper in wrappers.items():
        ratios[name] = ratio = lr_ratio(auto_scale_lr, images * wrapper._accumulative_counts)
        for group in wrapper.optimizer.param_groups:
            group['lr'] *= ratio
        if own:
            scale_bounds(schedulers.get(name), ratio)
        _say(runner, name, wrapper._accumulative_counts, ratio)
    if not own and len({*ratios.values()}) == 1:
        scale_bounds(schedulers, next(iter(ratios.values())))


def lr_ratio(auto_scale_lr: Mapping[str, Any] | None, images: int) -> float:
    """By what learning rates are multiplied for steps of so many images; 1 if they are not scaled.

    Raises:
        ValueError: ``base_batch_size`` is not a positive number.
    """
    if not (auto_scale_lr or {}).get('enable'):
        return 1.0
    base = auto_scale_lr.get('base_batch_size')
    if not isinstance(base, int) or base <= 0:
        raise ValueError(f'auto_scale_lr.base_batch_size={base!r}: a positive number is needed')
    return images / base


def batch_size(loader: DataLoader) -> int:
    """How many images a process is given at once."""
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1


def _say(runner: Runner, name: str, accumulated: int, ratio: float) -> None:
    what = f'LR of {name}' if name else 'LR'
    if runner._resume and (runner._load_from or find_latest_checkpoint(runner.work_dir)):
        text = f'{what} is that of the checkpoint: auto_scale_lr changes nothing in a resumed run'
    else:
        size, base = batch_size(runner.train_dataloader), runner.auto_scale_lr['base_batch_size']
        total = size * runner.world_size * accumulated
        text = (
            f'{what} is set based on batch size of {base} and the current batch size is {total} '
            f'({size} images × {runner.world_size} processes × {accumulated} accumulated steps). '
            f'Scaling the original LR by {ratio:g}.'
        )
    runner.logger.info(text)


def scale_bounds(schedulers: Any, ratio: float) -> None:
    """Scale what configs of schedulers name in units of the learning rate, in place."""
    for one in as_list(schedulers):
        if not type_name(one).endswith('LR') and one.get('param_name') != 'lr':
            continue
        for key in _BOUNDS:
            bound = one.get(key)
            if isinstance(bound, (int, float)):
                one[key] = bound * ratio
            elif isinstance(bound, (list, tuple)):
                one[key] = [value * ratio for value in bound]
