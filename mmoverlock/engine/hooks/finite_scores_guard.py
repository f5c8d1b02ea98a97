"""A hook that tells of predictions that are no numbers, which metrics take for wrong ones."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor


@HOOKS.register_module()
class FiniteScoresGuard(Hook):
    """Warns of images whose scores are NaN or infinite: the metrics mean nothing then.

    Their number and the first file are logged after each validation and test. Finite weights may
    predict so, by an overflow. NaN scores of a detector are below its threshold: it finds nothing,
    of which :class:`EvaluationGuard` tells.

    Raises:
        ValueError: after a test, if no image has finite scores.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.counts = [0, 0]  # images without finite scores, and all
        self.first = ''

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin()

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self._count(outputs)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self._count(outputs)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._tell()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        wrong, total = self._tell()
        if 0 < total == wrong:
            raise ValueError(
                f'the scores of all {total} images are NaN or infinite: the weights are damaged, '
                'or overflow'
            )

    def _count(self, samples: Sequence[Any] | None) -> None:
        samples = list(samples or ())
        self.counts[1] += len(samples)
        largest = {i: maxima for i, sample in enumerate(samples) if (maxima := _maxima(sample))}
        if not largest:
            return
        finite = torch.stack([torch.stack(maxima).amax() for maxima in largest.values()]).isfinite()
        for i, is_finite in zip(largest, finite.tolist(), strict=True):  # of a GPU, all at once
            if not is_finite:
                self.counts[0] += 1
                self.first = self.first or str(getattr(samples[i], 'img_path', ''))

    def _tell(self) -> tuple[int, int]:
        """Log the number, of all processes together, and return it and that of all images."""
        counts = torch.tensor(self.counts)
        dist.all_reduce(counts)
        wrong, total = counts.tolist()
        if wrong:
            example = self.first and f", such as '{self.first}'"
            print_log(
                f'the scores of {wrong} of {total} images are NaN or infinite{example}: the '
                'metrics mean nothing',
                logger='current',
                level=logging.WARNING,
            )
        return wrong, total


def _maxima(sample: Any) -> list[Tensor]:
    """The largest of a sample's scores, boxes or logits each: NaN or +inf if one of them is."""
    found = getattr(sample, 'pred_instances', None)
    scores = [
        getattr(sample, 'pred_score', None),  # of mmpretrain
        getattr(found, 'scores', None),  # of mmdet
        getattr(found, 'bboxes', None),
        getattr(getattr(sample, 'seg_logits', None), 'data', None),  # of mmseg
    ]
    return [one.amax() for one in scores if isinstance(one, Tensor) and one.numel()]
