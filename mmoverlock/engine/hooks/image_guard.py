"""A hook that names images which cannot be read; training skips them while they are few."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from mmcv.transforms import LoadImageFromFile
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmoverlock.utils.datasets import leaf_datasets
from mmoverlock.utils.images import why_unreadable


class Unreadable:
    """Which images of a data set could not be read, shared by all its worker processes.

    It is a byte for each image in shared memory. Setting one needs no lock, and an image that fails
    in every epoch counts once.
    """

    def __init__(self, dataset: Any, max_share: float) -> None:
        self.flags = torch.zeros(len(dataset), dtype=torch.uint8).share_memory_()
        self.max_share = max_share

    def add(self, index: int, path: str) -> None:
        """Note an image; raise ValueError when they are too many."""
        self.flags[index] = 1
        self.check(f", such as '{path}'")

    def check(self, example: str = '') -> None:
        """Raise ValueError when too many images could not be read."""
        count, total = int(self.flags.count_nonzero()), len(self.flags)
        if count > self.max_share * total:
            raise ValueError(
                f'{count} of {total} training images cannot be read{example}: '
                f'more than max_share={self.max_share:g} of the ImageGuard hook allows'
            )


class NamingLoader:
    """A loader of images whose errors name the file.

    Args:
        load: The loader.
        unreadable: Where to note an image that cannot be read; such a sample is None, for which the
            data set puts another one. Without it, ValueError is raised.
    """

    def __init__(self, load: Callable[[dict], dict], unreadable: Unreadable | None = None) -> None:
        self.load = load
        self.unreadable = unreadable

    def __call__(self, results: dict) -> dict | None:
        try:
            return self.load(results)
        except Exception as error:  # every decoder and storage has its own
            path = str(results['img_path'])
            if self.unreadable is None:
                reason = why_unreadable(path, error)
                raise ValueError(f"image '{path}' cannot be read: {reason}") from error
            self.unreadable.add(results['sample_idx'], path)
            return None


@HOOKS.register_module()
class ImageGuard(Hook):
    """Lets training go on when images cannot be read, unless they are too many; names them.

    Each is reported once, and their number after every epoch. In validation and testing, where none
    may be left out, an unreadable image is an error that names it.

    Args:
        max_share: How many of a training data set's images may be unreadable, 0 to 1.

    Raises:
        ValueError: `max_share` is out of range; during training, more images are unreadable.
    """

    def __init__(self, max_share: float = 0.01) -> None:
        if not isinstance(max_share, (int, float)) or not 0 <= max_share <= 1:
            raise ValueError(f'max_share={max_share!r} is not a number from 0 to 1')
        self.max_share = max_share
        self.watched: list[tuple[Any, Unreadable, set[int]]] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the training data; its workers have not started yet."""
        self.watched = []
        for dataset in leaf_datasets(runner.train_dataloader.dataset):
            unreadable = None if dataset.test_mode else Unreadable(dataset, self.max_share)
            if _guard(dataset, unreadable) and unreadable:
                self.watched.append((dataset, unreadable, set()))

    def before_val(self, runner: Runner) -> None:
        """Have errors name the file."""
        for dataset in leaf_datasets(runner.val_dataloader.dataset):
            _guard(dataset)

    def before_test(self, runner: Runner) -> None:
        """Have errors name the file."""
        for dataset in leaf_datasets(runner.test_dataloader.dataset):
            _guard(dataset)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Name what could not be read since the last iteration."""
        for dataset, unreadable, reported in self.watched:
            if int(unreadable.flags.count_nonzero()) > len(reported):
                _report(dataset, unreadable, reported)

    def after_train_epoch(self, runner: Runner) -> None:
        """Add up over the processes, name what the others found, tell the number."""
        for dataset, unreadable, reported in self.watched:
            everywhere = unreadable.flags.clone()
            dist.all_reduce(everywhere, 'max')
            unreadable.flags.copy_(everywhere)
            _report(dataset, unreadable, reported)
            unreadable.check()
            if reported:
                print_log(
                    f'{len(reported)} of {len(unreadable.flags)} training images cannot be read '
                    f'and are skipped ({self.max_share:.2%} may be)',
                    logger='current',
                )


def _guard(dataset: Any, unreadable: Unreadable | None = None) -> bool:
    """Wrap the loaders in a data set's pipeline; whether it has any."""
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    places = [i for i, step in enumerate(steps) if isinstance(step, LoadImageFromFile)]
    for i in places:
        steps[i] = NamingLoader(steps[i], unreadable)
    return bool(places)


def _report(dataset: Any, unreadable: Unreadable, reported: set[int]) -> None:
    for index in unreadable.flags.nonzero().flatten().tolist():
        if index not in reported:
            reported.add(index)
            path = dataset.get_data_info(index)['img_path']
            print_log(
                f"unreadable image, skipped: '{path}'", logger='current', level=logging.WARNING
            )
