"""The objects of a detector's data sets and evaluators, as they are loaded."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from mmoverlock.utils.config import walk
from mmoverlock.utils.datasets import leaf_datasets
from mmoverlock.utils.errors import shown


def check_objects(dataset: Any, cfg: Mapping[str, Any], key: str) -> None:
    """Check boxes and masks of a data set in memory, if it has objects.

    Raises:
        ValueError: the pipeline loads masks, which objects do not have, or a box has no area.
    """
    masks = any(step.get('with_mask') for _, step in walk(cfg.get('pipeline')))
    objects = [(one, sample) for sample in dataset.data_list for one in sample.get('instances', ())]
    without = [sample for one, sample in objects if masks and 'mask' not in one]
    if without:
        raise ValueError(
            f'{key}: its pipeline loads masks, but {len(without)} of {len(objects)} objects have '
            f"none, the first in '{without[0]['img_path']}'"
        )
    flat = [(one['bbox'], sample) for one, sample in objects if _is_flat(one.get('bbox'))]
    if flat:
        box, sample = flat[0]
        raise ValueError(
            f'{key}: the boxes of {len(flat)} of {len(objects)} objects have no width or height, '
            f"the first is {list(box)} (left, top, right, bottom) in '{sample['img_path']}'"
        )


def _is_flat(box: Any) -> bool:
    return box is not None and len(box) == 4 and not (box[2] > box[0] and box[3] > box[1])


def check_any_object(datasets: Sequence[Any], key: str) -> None:
    """Raise ValueError if no data set in memory has an object to train on."""
    samples = [sample for dataset in datasets for sample in dataset.data_list]
    if not samples or 'instances' not in samples[0]:
        return
    if not any(not one.get('ignore_flag') for s in samples for one in s.get('instances', ())):
        raise ValueError(f'{key}: no object of the classes in {len(samples)} images')


def unused_categories(dataset: Any, categories: Mapping[Any, str], key: str) -> Iterator[str]:
    """A line if a COCO file has objects of categories that are not among the classes."""
    if not hasattr(dataset, 'cat_img_map') or not hasattr(dataset, 'cat_ids'):
        return
    others = {
        categories.get(one, one): len(images)
        for one, images in dataset.cat_img_map.items()
        if one not in dataset.cat_ids and images
    }
    if others:
        yield (
            f'{key}: {sum(others.values())} objects are not used, as their categories are not '
            f'among its classes: {shown(map(str, others))}'
        )


def check_evaluator(metric: Any, key: str, dataset: Any, classes: Sequence[str] | None) -> None:
    """Compare a CocoMetric with the data set that it evaluates, both built.

    If its annotation file has other images, too, that is logged.

    Raises:
        ValueError: the file lacks classes, images, or the masks that are to be evaluated.
    """
    api = getattr(metric, '_coco_api', None)
    if api is None or not hasattr(metric, 'metrics') or not getattr(api, 'cats', None):
        return
    known = [str(one['name']).strip() for one in api.cats.values()]
    absent = [name for name in classes or () if str(name).strip() not in known]
    if absent:
        raise ValueError(
            f'{key}.ann_file: {len(absent)} of the {len(classes)} classes are no categories of it, '
            f"such as '{absent[0]}'; it has {shown(known)}"
        )
    annotations = api.dataset.get('annotations') or []
    if 'segm' in metric.metrics and annotations and 'segmentation' not in annotations[0]:
        raise ValueError(f"{key}.metric is 'segm', but no object of its ann_file has a mask")
    samples = [one for leaf in leaf_datasets(dataset) for one in getattr(leaf, 'data_list', ())]
    ids = {one['img_id'] for one in samples if 'img_id' in one}
    foreign = [one for one in ids if one not in api.imgs]
    if foreign:
        raise ValueError(
            f'{key}.ann_file: {len(foreign)} of the {len(ids)} images that are evaluated are not '
            f'listed in it, such as that with the id {foreign[0]!r}'
        )
    if ids and len(ids) < len(api.imgs):
        print_log(
            f'{key}.ann_file: {len(api.imgs) - len(ids)} of its {len(api.imgs)} images are not in '
            'the data set; their objects count as not found',
            logger='current',
            level=logging.WARNING,
        )
