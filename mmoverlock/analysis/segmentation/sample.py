"""A segmentor's prediction for one picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import TRANSFORMS, DefaultScope
from torch import Tensor, nn

from mmoverlock.utils.datasets import leaf_datasets

from ..measures.label_maps import IGNORED, pixel_confusion
from ..subject import Subject

SCORES = (
    "The model's head gives a score from masks and their classes, not logits: scores are divided "
    'by their sum, and their logarithm stands for the logit.'
)
_SCORING_HEADS = {'MaskFormerHead', 'Mask2FormerHead', 'SideAdapterCLIPHead'}
_LEAST = 1e-12  # of a score


@dataclass(frozen=True)
class Sample:
    """A prediction, at the size of the file.

    Attributes:
        index: Of the picture in the test set.
        prediction: Labels, (H, W) uint8.
        probabilities: Of the classes, (C, H, W) float32. Nobody may change them.
        truth: The true labels, (H, W) uint8, 255 where they are unknown; None if the test set has
            none.
    """

    index: int
    prediction: np.ndarray
    probabilities: np.ndarray
    truth: np.ndarray | None

    @cached_property
    def confusion(self) -> np.ndarray:
        """Pixels by true (rows) and predicted class, (C, C) int64; zeros without truth."""
        classes = len(self.probabilities)
        if self.truth is None:
            return np.zeros((classes, classes), np.int64)
        return pixel_confusion(self.truth, self.prediction, classes)


def samples(subject: Subject) -> Iterator[Sample]:
    """Predict every picture.

    Raises:
        ValueError: the model has no or too many classes for label maps, or a label map does not fit
            its picture or the classes.
    """
    number = len(subject.classes)
    if not 2 <= number < IGNORED:
        raise ValueError(f'the model has {number} classes: 2 to {IGNORED - 1} can be analysed')
    scores = gives_scores(subject.model)
    for index, found in subject.predictions():
        probabilities = to_probabilities(found.seg_logits.data, scores)
        prediction = found.pred_sem_seg.data[0].numpy().astype(np.uint8)
        truth = _truth(subject, index, found, prediction.shape)
        if truth is not None:
            _check(truth, number, subject.name(index))
        del found
        yield Sample(index, prediction, probabilities, truth)


def gives_scores(model: nn.Module) -> bool:
    """Whether a model's outputs are scores of masks, as MaskFormer's, and not logits."""
    head = getattr(model, 'decode_head', None)
    if isinstance(head, nn.ModuleList):  # a cascade, of which the last counts
        head = head[-1]
    return any(cls.__name__ in _SCORING_HEADS for cls in type(head).__mro__)


def to_probabilities(outputs: Tensor, scores: bool = False) -> np.ndarray:
    """Probabilities (C, H, W) float32 from what mmseg calls ``seg_logits``, in its memory.

    A single map is the probability of the second class: mmseg has applied the sigmoid. Several are
    logits or, if `scores` says so, positive scores, which are divided by their sum.
    """
    outputs = outputs.detach().float()
    if len(outputs) == 1:
        return torch.cat([1 - outputs, outputs]).numpy()
    if scores:
        outputs.clamp_(min=_LEAST)
    else:
        outputs.sub_(outputs.amax(0)).exp_()
    return outputs.div_(outputs.sum(0)).numpy()


def _truth(subject: Subject, index: int, found: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """The true labels (H, W) uint8: the pipeline's, or those that the data set names."""
    truth = None
    if 'gt_sem_seg' in found:
        truth = found.gt_sem_seg.data.numpy().reshape(found.gt_sem_seg.shape[-2:])
    if truth is None or truth.shape != shape:  # the pipeline has resized it
        info = subject.dataset.get_data_info(index)
        path = info.get('seg_map_path')
        if not path or not ('://' in path or Path(path).is_file()):
            return None
        truth = _load(subject, info)
    if truth.shape != shape:
        raise ValueError(
            f"'{subject.name(index)}': the picture has {shape[1]} x {shape[0]} pixels, its labels "
            f'{truth.shape[1]} x {truth.shape[0]}'
        )
    truth = truth.astype(np.uint8)
    ignored = getattr(next(leaf_datasets(subject.dataset)), 'ignore_index', IGNORED)
    if ignored != IGNORED:
        truth[truth == ignored] = IGNORED
    return truth


def _load(subject: Subject, info: dict[str, Any]) -> np.ndarray:
    """Read a label map as mmseg's data sets say: ``reduce_zero_label``, ``label_map``."""
    backend = getattr(next(leaf_datasets(subject.dataset)), 'backend_args', None)
    with DefaultScope.overwrite_default_scope('mmseg'):
        load = TRANSFORMS.build(dict(type='LoadAnnotations', backend_args=backend))
    keys = ('seg_map_path', 'reduce_zero_label', 'label_map')
    return load(dict({key: info.get(key) for key in keys}, seg_fields=[]))['gt_seg_map']


def _check(truth: np.ndarray, classes: int, name: str) -> None:
    highest = int(truth[truth != IGNORED].max(initial=0))
    if highest >= classes:
        raise ValueError(
            f"'{name}': its label map has label {highest}; allowed are 0 to {classes - 1}, and "
            f'{IGNORED} for no class'
        )
