"""Average precision and recall by COCO's evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmoverlock.utils.silence import silence

from .objects import Kind, Objects
from .sample import Sample

AREAS = 'all', 'small', 'medium', 'large'  # below 32² and 96² pixels, and above
LIMITS = 100, 1000  # detections of a class in a picture that count at most


@dataclass(frozen=True)
class AveragePrecision:
    """Precision and recall by IoU, class and size; -1 where there are no objects.

    Attributes:
        ious: Least IoUs of a match, 0.5 to 0.95, (T,).
        recalls: 0 to 1, (R,).
        precision: (T, R, K, 4, 2): the last axes are :data:`AREAS` and :data:`LIMITS`.
        recall: (T, K, 4, 2): the largest one.
        objects: True objects of each class, crowds aside, (K,) int64.
    """

    ious: np.ndarray
    recalls: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    objects: np.ndarray

    def figures(self, label: int | None = None) -> dict[str, float | None]:
        """AP, AP50, AP75, those of small, medium and large objects, and AR, of a class or of all.

        AP and AR are means over the IoUs, of 100 detections of a class in a picture, the other ones
        of 1,000, as in mmdet's CocoMetric. None where there are no objects.
        """
        classes = slice(None) if label is None else slice(label, label + 1)
        precision, recall = self.precision[:, :, classes], self.recall[:, classes]
        figures = dict(
            AP=precision[..., 0, 0],
            AP50=precision[0, ..., 0, 1],
            AP75=precision[5, ..., 0, 1],
            AP_small=precision[..., 1, 1],
            AP_medium=precision[..., 2, 1],
            AP_large=precision[..., 3, 1],
            AR=recall[..., 0, 0],
        )
        return {name: _mean(values) for name, values in figures.items()}

    @cached_property
    def curves(self) -> np.ndarray:
        """Precision at each recall, (T, R, K), NaN where a class has no objects."""
        values = self.precision[..., 0, 1]
        return np.where(values < 0, np.nan, values)


def _mean(values: np.ndarray) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def average_precision(
    samples: Sequence[Sample], kind: Kind, number_of_classes: int
) -> AveragePrecision:
    """Evaluate predictions with pycocotools.

    Args:
        samples: At least one, with truth.
        kind: Whether boxes ('bbox') or masks ('segm') are compared.
        number_of_classes: K.
    """
    # Equal scores keep the order of the pictures, by their ids.
    ordered = sorted(samples, key=lambda one: _order(one.image_id, one.index))
    categories = [dict(id=label) for label in range(number_of_classes)]
    images = [
        dict(id=number, height=one.size[0], width=one.size[1]) for number, one in enumerate(ordered)
    ]
    common = dict(images=images, categories=categories)
    truth = _numbered(
        annotation | dict(area=area, iscrowd=int(crowd))
        for number, one in enumerate(ordered)
        for annotation, area, crowd in zip(
            _annotations(one.truth, kind, number),
            one.truth.areas.tolist(),
            one.truth.crowds_of(kind).tolist(),
            strict=True,
        )
    )
    found = _numbered(
        annotation | dict(area=area, iscrowd=0, score=score)
        for number, one in enumerate(ordered)
        for annotation, area, score in zip(
            _annotations(one.found, kind, number),
            one.found.areas_of(kind).tolist(),
            one.found.scores_of(kind).tolist(),
            strict=True,
        )
    )
    with silence():
        evaluation = COCOeval(_coco(truth, **common), _coco(found, **common), kind)
        evaluation.params.maxDets = list(LIMITS)
        evaluation.evaluate()
        evaluation.accumulate()
    single = [one['category_id'] for one in truth if not one['iscrowd']]
    return AveragePrecision(
        evaluation.params.iouThrs,
        evaluation.params.recThrs,
        evaluation.eval['precision'],
        evaluation.eval['recall'],
        np.bincount(np.array(single, np.int64), minlength=number_of_classes),
    )


def _order(image_id: Any, index: int) -> int:
    return image_id if isinstance(image_id, int) else index


def _annotations(objects: Objects, kind: Kind, image: int) -> Iterable[dict[str, Any]]:
    """Objects of a picture as in a COCO file."""
    key = 'segmentation' if kind == 'segm' else 'bbox'
    regions = objects.regions(kind)
    regions = regions if kind == 'segm' else regions.tolist()
    for label, region in zip(objects.labels.tolist(), regions, strict=True):
        yield dict(image_id=image, category_id=label, **{key: region})


def _numbered(annotations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Annotations with ids. COCO's evaluation takes the id 0 for no match."""
    return [dict(one, id=number) for number, one in enumerate(annotations, 1)]


def _coco(annotations: list[dict], images: list[dict], categories: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = dict(images=images, categories=categories, annotations=annotations)
    coco.createIndex()
    return coco
