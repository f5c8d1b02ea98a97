"""A hook for evaluations without detections, of a part of the images, or of the classes."""

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class EvaluationGuard(Hook):
    """Gives a detector that finds nothing its AP of 0; tells which mean IoU is not of all classes.

    Of no detections at all, mmdet's CocoMetric makes no metrics. With this hook it evaluates them:
    0, or -1 where there is no ground truth. Where it was given a part of the annotated images, a
    warning says that the objects of the others count as missed. Of mmseg's IoUMetric, which leaves
    classes without a pixel out of its mean, it says how many they are.
    """

    priority = 'VERY_HIGH'

    def before_val(self, runner: Runner) -> None:
        guard_metrics(runner.val_loop.evaluator.metrics)

    def before_test(self, runner: Runner) -> None:
        guard_metrics(runner.test_loop.evaluator.metrics)


def guard_metrics(metrics: Sequence[BaseMetric]) -> None:
    """Have every CocoMetric among `metrics` evaluate no detections, too."""
    for metric in metrics:
        metric = getattr(metric, 'metric', metric)  # of a ClasswiseMetric
        if not isinstance(metric, BaseMetric):  # VOCMetric's has the name of what it computes
            continue
        kinds = {kind.__name__ for kind in type(metric).__mro__}
        if 'CocoMetric' in kinds and not hasattr(metric, '_lvis_api'):
            metric.compute_metrics = partial(_compute, type(metric).compute_metrics, metric)
        elif 'IoUMetric' in kinds and not metric.format_only and metric.nan_to_num is None:
            metric.compute_metrics = partial(_compute_iou, type(metric).compute_metrics, metric)


def _compute(compute: Any, metric: Any, results: list) -> dict[str, float]:
    """`compute` the metrics, with a COCO object that takes an empty list of detections."""
    if metric._coco_api is None:  # annotations come with the images: as the metric does it
        from mmdet.datasets.api_wrappers import COCO

        with tempfile.TemporaryDirectory() as folder:
            truth = [truth for truth, _ in results]
            path = metric.gt_to_coco_json(truth, os.path.join(folder, 'truth'))
            metric._coco_api = COCO(path)
    api = metric._coco_api
    if not any(len(found['labels']) for _, found in results):
        if not metric.format_only:
            images, objects = len(results), len(api.dataset.get('annotations') or [])
            print_log(
                f'no detections in {images} images with {objects} annotated objects: AP and AR '
                'are 0',
                logger='current',
                level=logging.WARNING,
            )
        api.loadRes = partial(_no_results, api)
    labelled = {image for image, objects in api.imgToAnns.items() if objects}
    absent = len(labelled - {found['img_id'] for _, found in results})
    if absent and not metric.format_only:
        print_log(
            f'{absent} of {len(labelled)} images with annotated objects were not given to the '
            'model: their objects count as missed, and AP and AR are too low',
            logger='current',
            level=logging.WARNING,
        )
    try:
        return compute(metric, results)
    finally:
        vars(api).pop('loadRes', None)


def _compute_iou(compute: Any, metric: Any, results: list) -> dict[str, float]:
    """`compute` the metrics, and name the number of classes of which the IoU is not defined."""
    union = sum(areas[1] for areas in results)
    absent = int((union == 0).sum())
    if absent:
        print_log(
            f'mIoU is the mean of {len(union) - absent} of {len(union)} classes: the others have '
            'no pixel, neither labelled nor predicted',
            logger='current',
            level=logging.WARNING,
        )
    return compute(metric, results)


def _no_results(api: Any, results: Sequence[dict]) -> Any:
    """A COCO object of no detections, which pycocotools' ``loadRes`` cannot make."""
    empty = type(api)()
    empty.dataset = {**api.dataset, 'annotations': []}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        empty.createIndex()
    return empty
