"""The figures of each class, which the libraries' metrics compute, print and mostly drop."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

Rows = list[dict[str, Any]]  # one for each class, in the order of the labels


class ClasswiseMetric(BaseMetric):
    """A metric of mmdet, mmseg or mmpretrain that also keeps what it finds for each class.

    Its results are those of the metric alone. mmdet's metric also prints a table then.

    Args:
        metric: The metric.

    Attributes:
        rows: After the evaluation, in the first process: for each class ``class``, its name, and by
            CocoMetric ``bbox_AP`` and ``segm_AP`` (0 to 1), by VOCMetric ``AP50`` and so on (0 to
            1), by IoUMetric ``IoU``, ``Acc``, ``Dice`` and so on (percent), by Accuracy and
            SingleLabelMetric ``precision``, ``recall``, ``f1-score`` (percent) and ``support`` (the
            number of images). NaN where a class has no ground truth. Empty for other metrics.
    """

    def __init__(self, metric: BaseMetric):
        super().__init__(metric.collect_device, metric.prefix, metric.collect_dir)
        self.metric = metric
        self.results = metric.results  # one list: the metric fills it, BaseMetric collects it
        self.rows: Rows = []

    @property
    def dataset_meta(self) -> dict | None:
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.metric.process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, Any]:
        kinds = {kind.__name__ for kind in type(self.metric).__mro__}
        if 'CocoMetric' in kinds and not self.metric.format_only:
            metrics, columns = _coco(self.metric, results)
        else:
            metrics = self.metric.compute_metrics(results)
            find = next((find for name, find in FINDERS.items() if name in kinds), _nothing)
            columns = find(self.metric, results)
        names = (self.dataset_meta or {}).get('classes') or ()
        for label in range(max(map(len, columns.values()), default=0)):
            row = {'class': str(names[label]) if label < len(names) else f'class {label}'}
            self.rows.append(row | {key: values[label] for key, values in columns.items()})
        return metrics


def class_table(metrics: Iterable[BaseMetric]) -> Rows:
    """The rows of all metrics side by side; NaN is None."""
    table: Rows = []
    for rows in (metric.rows for metric in metrics if isinstance(metric, ClasswiseMetric)):
        table += [{} for _ in rows[len(table) :]]
        for row, more in zip(table, rows, strict=False):
            row |= {key: None if value != value else value for key, value in more.items()}
    return table


Columns = dict[str, Sequence[float]]


def _coco(metric: Any, results: list) -> tuple[dict[str, Any], Columns]:
    """CocoMetric names a class's AP alike for boxes and masks: evaluate one after the other."""
    classwise, asked = metric.classwise, metric.metrics
    metrics, columns = {}, {}
    metric.classwise = True
    for name in asked:
        metric.metrics = [name]
        found = metric.compute_metrics(results)
        aps = {key: value for key, value in found.items() if key.endswith('_precision')}
        if aps:
            columns[f'{name}_AP'] = [float(ap) for ap in aps.values()]
        metrics |= {key: found[key] for key in found if classwise or key not in aps}
    metric.classwise, metric.metrics = classwise, asked
    return metrics, columns


def _voc(metric: Any, results: list) -> Columns:
    from mmdet.evaluation import eval_map

    if metric.metric != 'mAP' or metric.scale_ranges is not None:
        return {}
    annotations, detections = zip(*results, strict=True)
    columns = {}
    for iou in metric.iou_thrs:
        _, classes = eval_map(
            detections, annotations, iou_thr=iou, eval_mode=metric.eval_mode, logger='silent',
            use_legacy_coordinate=True,
        )  # fmt: skip
        columns[f'AP{int(iou * 100):02d}'] = [
            float(one['ap']) if one['num_gts'] else math.nan for one in classes
        ]
    return columns


def _iou(metric: Any, results: list) -> Columns:
    if metric.format_only:
        return {}
    areas = (sum(parts) for parts in zip(*results, strict=True))
    found = metric.total_area_to_metrics(*areas, metric.metrics, metric.nan_to_num, metric.beta)
    return {key: (100 * found[key]).round(2).tolist() for key in found if key != 'aAcc'}


def _labels(metric: Any, results: list) -> Columns:
    from mmpretrain.evaluation import SingleLabelMetric

    if 'pred_score' not in results[0]:
        return {}
    scores = torch.stack([result['pred_score'] for result in results])
    labels = torch.cat([result['gt_label'] for result in results])
    (found,) = SingleLabelMetric.calculate(scores, labels, average=None)
    names = 'precision', 'recall', 'f1-score', 'support'
    return dict(zip(names, (values.tolist() for values in found), strict=True))


def _nothing(metric: Any, results: list) -> Columns:
    return {}


FINDERS: dict[str, Callable[[Any, list], Columns]] = {
    'VOCMetric': _voc,
    'IoUMetric': _iou,
    'Accuracy': _labels,
    'SingleLabelMetric': _labels,
}
