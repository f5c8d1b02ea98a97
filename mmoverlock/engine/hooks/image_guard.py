"""A hook that names images which cannot be read; training skips them while they are few."""

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
from torch.utils.data import DataLoader

from mmoverlock.utils.datasets import leaf_datasets
from mmoverlock.utils.errors import ImageError, why_unreadable


class NamingLoader:
    """A loader of images whose errors name the file.

    With `unreadable`, a byte for each image in memory that worker processes share, it sets an
    unreadable image's byte and returns None, for which the data set puts another sample. ValueError
    is raised without it, and when more than `max_share` of the images are unreadable.
    """

    def __init__(
        self, load: Callable[[dict], dict], unreadable: torch.Tensor | None, max_share: float
    ) -> None:
        self.load, self.unreadable, self.max_share = load, unreadable, max_share

    def __call__(self, results: dict) -> dict | None:
        try:
            return self.load(results)
        except ImageError:  # not damaged: the config does not fit the data
            raise
        except Exception as error:  # every decoder and storage has its own
            path = str(results['img_path'])
            reason = why_unreadable(path, error)
            if self.unreadable is None:
                raise ValueError(f"image '{path}' cannot be read: {reason}") from error
            self.unreadable[results['sample_idx']] = 1  # needs no lock, and counts once
            _check_share(self.unreadable, self.max_share, f", such as '{path}' ({reason})")
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
        self.watched: list[tuple[Any, torch.Tensor, set[int]]] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the training data; its workers have not started yet."""
        self.watched = []
        self._guard(runner.train_dataloader, watch=True)

    def before_val(self, runner: Runner) -> None:
        """Have errors name the file."""
        self._guard(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Have errors name the file."""
        self._guard(runner.test_dataloader)

    def _guard(self, dataloader: DataLoader, watch: bool = False) -> None:
        """Wrap the image loaders in the pipelines; `watch` the training data sets."""
        for dataset in leaf_datasets(dataloader.dataset):
            unreadable = None
            if watch and not dataset.test_mode:
                unreadable = torch.zeros(len(dataset), dtype=torch.uint8).share_memory_()
                self.watched.append((dataset, unreadable, set()))
            steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
            for i, step in enumerate(steps):
                if isinstance(step, LoadImageFromFile):
                    steps[i] = NamingLoader(step, unreadable, self.max_share)

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Name what could not be read since the last iteration."""
        for dataset, unreadable, reported in self.watched:
            if int(unreadable.count_nonzero()) > len(reported):
                _report(dataset, unreadable, reported)

    def after_train_epoch(self, runner: Runner) -> None:
        """Add up over the processes, name what the others found, tell the number."""
        for dataset, unreadable, reported in self.watched:
            everywhere = unreadable.clone()
            dist.all_reduce(everywhere, 'max')
            unreadable.copy_(everywhere)
            _report(dataset, unreadable, reported)
            _check_share(unreadable, self.max_share)
            if reported:
                print_log(
                    f'{len(reported)} of {len(unreadable)} training images cannot be read '
                    f'and are skipped ({self.max_share:.2%} may be)',
                    logger='current',
                )


def _check_share(unreadable: torch.Tensor, max_share: float, example: str = '') -> None:
    count, total = int(unreadable.count_nonzero()), len(unreadable)
    if count > max_share * total:
        raise ValueError(
            f'{count} of {total} training images cannot be read{example}: '
            f'more than max_share={max_share:g} of the ImageGuard hook allows'
        )


def _report(dataset: Any, unreadable: torch.Tensor, reported: set[int]) -> None:
    for index in set(unreadable.nonzero().flatten().tolist()) - reported:
        path = dataset.get_data_info(index)['img_path']
        print_log(f"unreadable image, skipped: '{path}'", logger='current', level=logging.WARNING)
        reported.add(index)
