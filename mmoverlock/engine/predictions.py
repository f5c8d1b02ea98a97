"""Metrics that measure nothing: they write predictions in the formats of annotations."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from mmengine.registry import METRICS
from PIL import Image

from mmoverlock.utils.files import removed_on_error
from mmoverlock.utils.json import dumps

LARGEST_LABEL = 254  # 255 is what mmseg ignores


class CocoPredictions(BaseMetric):
    """Writes what a detector of mmdet finds, in COCO's format.

    The ids are those of the data set's annotation file. A data set without one, such as Pascal
    VOC, gets new ids: images and categories count from 1.

    Args:
        dataset: The data set that is evaluated, built.
        results: New JSON file for all detections, as COCO's evaluation server takes them: a list
            of ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels), ``score``
            and, if the model makes masks, ``segmentation`` (run lengths).
        annotations: New JSON file for a complete annotation file, with the data set's images and
            categories, and detections as ``annotations``. An annotation also has its ``score``.
        score_thr: Least score, from 0 to 1, of these annotations.
    """

    default_prefix = 'predictions'

    def __init__(
        self,
        dataset: Any,
        results: str | os.PathLike | None = None,
        annotations: str | os.PathLike | None = None,
        score_thr: float = 0.5,
    ):
        super().__init__()
        self.dataset, self.score_thr = dataset, score_thr
        self.files = results, annotations

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        from mmdet.structures.mask import encode_mask_results

        for sample in data_samples:
            found = sample['pred_instances']
            columns = (found[name].tolist() for name in ('labels', 'scores', 'bboxes'))
            objects = [
                dict(label=label, bbox=[x1, y1, x2 - x1, y2 - y1], score=score)
                for label, score, (x1, y1, x2, y2) in zip(*columns, strict=True)
            ]
            if 'masks' in found:
                masks = encode_mask_results(found['masks'].cpu().numpy())
                for one, mask in zip(objects, masks, strict=True):
                    one['segmentation'] = {**mask, 'counts': mask['counts'].decode()}
            size = dict(zip(('height', 'width'), sample['ori_shape'], strict=True))
            image = dict(id=sample['img_id'], path=sample['img_path'], **size)
            self.results.append((image, objects))

    def compute_metrics(self, results: list) -> dict:
        images, categories = self._describe([image for image, _ in results])
        detections = []
        for image, (_, objects) in zip(images, results, strict=True):
            for one in objects:
                ids = dict(image_id=image['id'], category_id=categories[one['label']]['id'])
                detections.append(ids | {key: one[key] for key in one if key != 'label'})
        plain, complete = self.files
        if plain:
            write_new(plain, detections)
        if complete:
            kept = [with_area(one) for one in detections if one['score'] >= self.score_thr]
            kept = [one for one in kept if min(one['area'], *one['bbox'][2:]) >= 1]
            annotations = [dict(id=number, **one) for number, one in enumerate(kept, 1)]
            data = dict(images=images, categories=categories, annotations=annotations)
            write_new(complete, data)
            labelled = len({one['image_id'] for one in annotations})
            print_log(
                f'{len(annotations)} objects in {labelled} of {len(images)} images have a score of '
                f'at least {self.score_thr:g}: {complete}',
                logger='current',
            )
        return {}

    def _describe(self, images: list[dict]) -> tuple[list[dict], list[dict]]:
        """The images' records and, in the order of the labels, those of the categories."""
        dataset = self.dataset
        if hasattr(dataset, 'cat_ids'):  # mmdet's CocoDataset and what is derived from it
            from mmdet.datasets.api_wrappers import COCO

            with get_local_path(dataset.ann_file, backend_args=dataset.backend_args) as path:
                known = COCO(path)  # ids as the data set has them
            return [known.imgs[image['id']] for image in images], known.load_cats(dataset.cat_ids)
        folder = dataset.data_prefix.get('img') or dataset.data_root or ''
        records = [
            dict(
                id=number, file_name=os.path.relpath(image['path'], folder),
                width=image['width'], height=image['height'],
            )
            for number, image in enumerate(images, 1)
        ]  # fmt: skip
        names = enumerate(dataset.metainfo['classes'], 1)
        return records, [dict(id=number, name=name) for number, name in names]


def with_area(detection: Mapping[str, Any]) -> dict[str, Any]:
    """A detection with what an annotation has in addition, such as the area in pixels."""
    if 'segmentation' in detection:
        from pycocotools import mask

        area = mask.area(detection['segmentation'])
    else:
        area = detection['bbox'][2] * detection['bbox'][3]
    return dict(**detection, area=float(area), iscrowd=0)


def write_new(path: str | os.PathLike, data: Any) -> None:
    """Write a JSON file that does not exist yet; OSError naming it if that fails."""
    text = dumps(data)
    file = open(path, 'x', encoding='utf-8')
    with removed_on_error(path), file:
        file.write(text)


class LabelMaps(BaseMetric):
    """Writes a segmentor's label maps as PNGs, named and numbered like the data set's own.

    A data set of mmseg reads them back with `folder` as its ``data_prefix.seg_map_path``: they lie
    in the same subfolders, have its ``seg_map_suffix``, and labels that it changes when it reads
    them (``reduce_zero_label``, ``label_map``) are changed back. A list of pairs (LabelledImages)
    has no such folder: its label maps have the names of the images, below the folder that holds
    them all; of images that differ in case or suffix alone, such as a.jpg and a.png, the label maps
    keep the suffix: a.jpg.png, a.png.png. Each process writes those of its images.

    Args:
        dataset: The data set that is evaluated, built: of mmseg, or a LabelledImages.
        folder: Empty or new folder.

    Raises:
        ValueError: if a label is larger than 254, which PNGs of 8 bits have no place for.
    """

    default_prefix = 'predictions'

    def __init__(self, dataset: Any, folder: str | os.PathLike):
        super().__init__()
        self.dataset, self.folder = dataset, Path(folder)
        number = len(dataset.metainfo['classes'])
        changed = getattr(dataset, 'label_map', None) or {}
        back = {new: old for old, new in changed.items() if new != dataset.ignore_index}
        table = np.array([back.get(label, label) for label in range(number)])
        self.table = table + bool(dataset.reduce_zero_label)
        if self.table.max() > LARGEST_LABEL:
            raise ValueError(
                f'label maps hold labels up to {LARGEST_LABEL}, not {self.table.max()}'
            )
        self.root = dataset.data_prefix.get('img_path')
        self.clashing: set[str] = set()
        if self.root is None:
            samples = map(dataset.get_data_info, range(len(dataset)))
            images = dict.fromkeys(one['img_path'] for one in samples)
            self.root = os.path.commonpath([os.path.dirname(path) for path in images])
            names = Counter(self._stem(path).casefold() for path in images)
            self.clashing = {name for name, number in names.items() if number > 1}

    def _stem(self, path: str) -> str:
        """An image's name below the data set's folder, without the suffix."""
        name = os.path.relpath(path, self.root)
        return name.removesuffix(getattr(self.dataset, 'img_suffix', os.path.splitext(name)[1]))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].cpu().numpy().astype(int)
            labels = labels.reshape(labels.shape[-2:])  # (1, H, W), with TTA (H, W)
            name = self._stem(sample['img_path'])
            if name.casefold() in self.clashing:
                name = os.path.relpath(sample['img_path'], self.root)
            path = self.folder / (name + getattr(self.dataset, 'seg_map_suffix', '.png'))
            path.parent.mkdir(parents=True, exist_ok=True)
            with removed_on_error(path):
                Image.fromarray(self.table[labels].astype(np.uint8)).save(path)
            self.results.append(None)

    def compute_metrics(self, results: list) -> dict:
        print_log(f'{len(results)} label maps: {self.folder}', logger='current')
        return {}


def dump_whole(metric: DumpResults) -> None:
    """Have a metric that writes a pickle leave no half of it, and name it if that fails."""
    write = metric.compute_metrics

    def compute_metrics(results: list) -> dict:
        with removed_on_error(metric.out_file_path):
            return write(results)

    metric.compute_metrics = compute_metrics


@METRICS.register_module()
class DumpLabelMaps(DumpResults):
    """MMEngine's DumpResults for segmentors: labels of 8 or 16 bits, and no logits.

    The logits of 2,000 pictures of 150 classes would take hundreds of gigabytes.
    """

    def process(self, data_batch: Any, predictions: Sequence[dict]) -> None:
        kept = []
        for sample in predictions:
            kept.append({key: sample[key] for key in sample if key != 'seg_logits'})
            labels = sample['pred_sem_seg']['data']
            dtype = torch.uint8 if labels.max() < 256 else torch.int16
            kept[-1]['pred_sem_seg'] = dict(sample['pred_sem_seg'], data=labels.to(dtype))
        super().process(data_batch, kept)
