"""A hook that makes COCO's evaluation right where annotation ids or detections are unusual."""

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

# Where the metrics of mmdet keep their annotations, and what builds the index of these.
INDEX = dict(_coco_api='createIndex', _lvis_api='_create_index')


@HOOKS.register_module()
class EvaluationGuard(Hook):
    """Numbers annotations from 1 for evaluation, and gives a model that finds nothing its AP of 0.

    pycocotools takes the id 0 for "no match", so that this object counts as missed; of several
    annotations with one id it evaluates the last one only. Ids that are not unique numbers from 1
    are replaced in the memory of mmdet's CocoMetric, LVISMetric and what derives from them; no file
    is changed. Panoptic segments, whose ids are colours, stay as they are.

    Of no detections at all, CocoMetric makes no metrics. With this hook it evaluates them: 0, or
    -1 where there is no ground truth.
    """

    priority = 'VERY_HIGH'

    def before_val(self, runner: Runner) -> None:
        _guard(runner.val_loop.evaluator.metrics)

    def before_test(self, runner: Runner) -> None:
        _guard(runner.test_loop.evaluator.metrics)


def _guard(metrics: Sequence[BaseMetric]) -> None:
    for metric in metrics:
        metric = getattr(metric, 'metric', metric)  # of a ClasswiseMetric
        if not isinstance(metric, BaseMetric):  # VOCMetric's has the name of what it computes
            continue
        for name in INDEX:
            if getattr(metric, name, None) is not None:
                renumber(getattr(metric, name), INDEX[name])
        kinds = {kind.__name__ for kind in type(metric).__mro__}
        if 'CocoMetric' in kinds and not hasattr(metric, '_lvis_api'):
            metric.compute_metrics = partial(_compute, type(metric).compute_metrics, metric)


def renumber(api: Any, index: str = 'createIndex') -> None:
    """Give annotations unique ids from 1, in memory, if they have others.

    Args:
        api: A COCO object of pycocotools or mmdet, or an LVIS object.
        index: Its method that builds the index.
    """
    annotations = api.dataset.get('annotations') or []
    if any('segments_info' in one for one in annotations):
        return
    ids = [one.get('id') for one in annotations]
    if all(type(number) is int and number > 0 for number in ids) and len({*ids}) == len(ids):
        return
    for number, annotation in enumerate(annotations, 1):
        annotation['id'] = number
    _build_index(api, index)
    if index == 'createIndex':  # mmdet's other names
        api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs
    print_log(
        f'annotation ids are not unique numbers from 1: {len(ids)} annotations are renumbered for '
        'evaluation',
        logger='current',
        level=logging.WARNING,
    )


def _build_index(api: Any, index: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        getattr(api, index)()


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
    try:
        return compute(metric, results)
    finally:
        vars(api).pop('loadRes', None)


def _no_results(api: Any, results: Sequence[dict]) -> Any:
    """A COCO object of no detections, which pycocotools' ``loadRes`` cannot make."""
    empty = type(api)()
    empty.dataset = {**api.dataset, 'annotations': []}
    _build_index(empty, 'createIndex')
    return empty
