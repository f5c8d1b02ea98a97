"""A detector's predictions for one picture, and what there truly is."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from pycocotools import mask as coco_mask

from ..subject import Subject
from .objects import Found, Kind, Mask, Truth
from .truth import TrueObjects


@dataclass(frozen=True)
class Sample:
    """A prediction.

    Attributes:
        index: Of the picture in the test set.
        image_id: The picture's id in the annotations.
        size: Height and width of the picture on the disk.
        found: What the model predicts.
        truth: None if the test set has no annotations.
    """

    index: int
    image_id: int | str | None
    size: tuple[int, int]
    found: Found
    truth: Truth | None

    def kinds(self) -> list[Kind]:
        """What can be compared with the truth: boxes, and masks if both have them."""
        if self.truth is None:
            return []
        found = self.found.masks is not None or not len(self.found)
        return ['bbox', 'segm'] if found and self.truth.masks is not None else ['bbox']


def samples(subject: Subject) -> Iterator[Sample]:
    """Predict every picture.

    Detections whose score or box is no finite number are left out, and a warning says how many.

    Raises:
        ValueError: the model predicts no objects, or no score is a finite number.
    """
    truth = TrueObjects(subject.dataset)
    total = wrong = 0
    for index, sample in subject.predictions():
        if 'pred_instances' not in sample or 'bboxes' not in sample.pred_instances:
            raise ValueError('the model predicts no objects with boxes')
        found, number = found_of(sample.pred_instances)
        total, wrong = total + number, wrong + number - len(found)
        size = tuple(map(int, sample.ori_shape[:2]))
        yield Sample(index, sample.get('img_id'), size, found, truth.of(index))
    if wrong and wrong == total:
        raise ValueError('no score is a finite number: the weights are damaged, or overflow')
    if wrong:
        print_log(
            f'{wrong} of {total} detections have NaN or infinite scores or boxes: left out',
            logger='current',
            level=logging.WARNING,
        )


def found_of(instances: Any) -> tuple[Found, int]:
    """mmdet's ``pred_instances`` with finite scores and boxes, and how many there are in all.

    A model of masks alone, such as SOLO, gives boxes without any area: they are then those around
    the masks.
    """
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).double().numpy().reshape(-1, 4)
    labels, scores = instances.labels.long().numpy(), instances.scores.double().numpy()
    masks = instances.get('masks')
    mask_scores = instances.get('mask_scores')
    mask_scores = scores if mask_scores is None else mask_scores.double().numpy()
    finite = np.isfinite(boxes).all(1) & np.isfinite(scores) & np.isfinite(mask_scores)
    kept = finite.nonzero()[0]
    if masks is not None:
        masks = [_run_lengths(masks[i]) for i in kept.tolist()]
    boxes = boxes[kept]
    if masks and not boxes.any():
        boxes = np.array([coco_mask.toBbox(mask) for mask in masks])
        boxes[:, 2:] += boxes[:, :2]
    return Found(boxes, labels[kept], masks, scores[kept], mask_scores[kept]), len(finite)


def _run_lengths(mask: Any) -> Mask:
    """COCO's run lengths of a mask (H, W), unless it is that already."""
    if isinstance(mask, dict):
        return mask
    array = mask.numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)
    return coco_mask.encode(np.asfortranarray(array.astype(np.uint8)))
