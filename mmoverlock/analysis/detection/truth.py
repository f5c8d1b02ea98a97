"""The true objects of a test set's pictures, from its annotations and not from its pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmengine.fileio import get_local_path
from pycocotools import mask as coco_mask

from mmoverlock.compat.coco_api import MASKLESS
from mmoverlock.utils.silence import silence

from .objects import Mask, Truth


class TrueObjects:
    """The true objects of a data set of mmdet, wrapped or not.

    Objects of COCO files are taken from the file: data sets drop some that the evaluation counts,
    and the areas. Those of other data sets, such as Pascal VOC, are the ``instances`` of the data
    set; what it ignores (VOC's difficult objects) counts as a crowd, as in mmdet's CocoMetric.

    Args:
        dataset: Built, and read.
    """

    def __init__(self, dataset: Any):
        self.dataset = dataset
        self._leaves: dict[int, _CocoFile | _Instances] = {}

    def of(self, index: int) -> Truth | None:
        """The objects of a picture; None if no picture of its data set has any."""
        dataset, index = leaf_of(self.dataset, index)
        key = id(dataset)
        if key not in self._leaves:
            kind = _CocoFile if hasattr(dataset, 'cat2label') and _is_coco(dataset) else _Instances
            self._leaves[key] = kind(dataset)
        return self._leaves[key].of(index)


def leaf_of(dataset: Any, index: int) -> tuple[Any, int]:
    """The data set inside wrappers that a picture is from, and its index there."""
    while hasattr(dataset, 'datasets') or hasattr(dataset, 'dataset'):
        if hasattr(dataset, 'datasets'):
            number, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[number]
        else:
            find = getattr(dataset, '_get_ori_dataset_idx', lambda index: index)
            dataset, index = dataset.dataset, find(index)
    return dataset, index


def _is_coco(dataset: Any) -> bool:
    from mmdet.datasets.api_wrappers import COCO

    api = getattr(dataset, 'COCOAPI', None)
    return isinstance(api, type) and issubclass(api, COCO)


class _CocoFile:
    """The annotations of a CocoDataset."""

    def __init__(self, dataset: Any):
        self.dataset = dataset
        with get_local_path(dataset.ann_file, backend_args=dataset.backend_args) as path, silence():
            self.coco = dataset.COCOAPI(path)
        annotations = self.coco.dataset.get('annotations') or ()
        self.any, self.masks = bool(annotations), any(map(_has_mask, annotations))

    def of(self, index: int) -> Truth | None:
        if not self.any:
            return None
        found = self.coco.imgToAnns.get(self.dataset.get_data_info(index)['img_id'], ())
        return truth_of([*self._objects(found)], self.masks)

    def _objects(self, annotations: Sequence[dict]) -> Iterator[dict[str, Any]]:
        for one in annotations:
            if one['category_id'] in self.dataset.cat2label:
                x, y, width, height = one['bbox']
                yield dict(
                    box=(x, y, x + width, y + height),
                    label=self.dataset.cat2label[one['category_id']],
                    area=one.get('area', width * height),
                    crowd=one.get(MASKLESS, one.get('iscrowd', 0)),
                    maskless=MASKLESS in one,
                    mask=partial(self.coco.annToRLE, one),
                )


def _has_mask(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get('segmentation')) and MASKLESS not in annotation


class _Instances:
    """The instances of any data set of mmdet."""

    def __init__(self, dataset: Any):
        self.dataset = dataset
        every = [one for i in range(len(dataset)) for one in self._instances(i)]
        self.any, self.masks = bool(every), any(one.get('mask') for one in every)

    def _instances(self, index: int) -> Sequence[dict]:
        return self.dataset.get_data_info(index).get('instances') or ()

    def of(self, index: int) -> Truth | None:
        if not self.any:
            return None
        size = [self.dataset.get_data_info(index).get(side) for side in ('height', 'width')]
        return truth_of([*self._objects(index, size)], self.masks)

    def _objects(self, index: int, size: Sequence[int]) -> Iterator[dict[str, Any]]:
        for one in self._instances(index):
            x1, y1, x2, y2 = one['bbox']
            yield dict(
                box=(x1, y1, x2, y2),
                label=one['bbox_label'],
                area=(x2 - x1) * (y2 - y1),
                crowd=one.get('ignore_flag', 0),
                maskless=not one.get('mask'),
                mask=partial(run_lengths, one.get('mask') or [], *size),
            )


def truth_of(objects: Sequence[Mapping[str, Any]], masks: bool) -> Truth:
    """Columns of objects: ``box``, ``label``, ``area``, ``crowd``, ``maskless`` and ``mask``.

    ``mask`` is a function that makes it, called if `masks`.
    """
    crowds, maskless = (
        np.array([bool(one[key]) for one in objects], bool) for key in ('crowd', 'maskless')
    )
    return Truth(
        np.array([one['box'] for one in objects], float).reshape(-1, 4),
        np.array([one['label'] for one in objects], np.int64),
        [one['mask']() for one in objects] if masks else None,
        np.array([one['area'] for one in objects], float),
        crowds,
        crowds | maskless,
    )


def run_lengths(mask: Any, height: int, width: int) -> Mask:
    """COCO's compressed run lengths of polygons or run lengths; of nothing, those of no pixel."""
    if not mask:
        return coco_mask.encode(np.zeros((height, width), np.uint8, order='F'))
    if isinstance(mask, list):
        return coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    if isinstance(mask['counts'], list):
        return coco_mask.frPyObjects(mask, height, width)
    return mask
