"""A hook that names label images with labels that are no classes."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from mmoverlock.utils.models import unwrap


@HOOKS.register_module()
class LabelGuard(Hook):
    """Ends a segmentor's run at a label that is no class, and names the label image.

    Without it a training fails and names none, and an evaluation leaves the pixels out. Labels are
    the classes of the decode head, and the one that the head ignores in training and the metrics
    in evaluation.

    Raises:
        ValueError: when a batch has another label.
    """

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        head = _decode_head(runner)
        if head is not None and head.ignore_index is not None:
            _check(data_batch, head.num_classes, {head.ignore_index})

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        _check_evaluated(runner, runner.val_loop.evaluator, data_batch)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        _check_evaluated(runner, runner.test_loop.evaluator, data_batch)


def _check_evaluated(
    runner: Runner, evaluator: Evaluator, data_batch: Mapping[str, Any] | None
) -> None:
    head = _decode_head(runner)
    metrics = [getattr(one, 'metric', one) for one in evaluator.metrics]  # of ClasswiseMetrics
    ignored = {one.ignore_index for one in metrics if hasattr(one, 'ignore_index')}
    if head is not None and ignored:
        _check(data_batch, head.num_classes, ignored)


def _decode_head(runner: Runner) -> nn.Module | None:
    """The last one of a cascade; None if the model is no segmentor of mmseg."""
    head = getattr(unwrap(runner.model), 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    known = hasattr(head, 'num_classes') and hasattr(head, 'ignore_index')
    return head if known else None


def _check(data_batch: Mapping[str, Any] | None, number: int, ignored: set[int]) -> None:
    """Look at the label maps of a batch, int64 (1, H, W)."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    for sample in _flat(samples):
        if 'gt_sem_seg' not in sample:
            continue
        labels = sample.gt_sem_seg.data.cpu().numpy()  # half the time of PyTorch
        wrong = (labels < 0) | (labels >= number)
        for label in ignored:
            wrong &= labels != label
        if wrong.any():
            path = sample.get('seg_map_path') or sample.get('img_path')
            names = ' and '.join(str(label) for label in sorted(ignored))
            raise ValueError(
                f"label {labels[wrong].max()} in '{path}' is no class: 0 to {number - 1} and "
                f'{names}, which is ignored, are allowed'
            )


def _flat(samples: Any) -> Iterator[Any]:
    """Data samples, which test-time augmentation puts in lists."""
    if isinstance(samples, (list, tuple)):
        for one in samples:
            yield from _flat(one)
    elif samples is not None:
        yield samples
