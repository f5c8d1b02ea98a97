"""Checks of a config's data sets before a run: categories, number of classes, labels.

OpenMMLab's data sets fail late or not at all when a folder is missing or when an annotation file's
categories are not the config's classes (they then train on nothing).
"""

import inspect
import json
import logging
import mmap
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch import nn

from mmoverlock.datasets.formats.coco import as_id
from mmoverlock.datasets.image_bits import check_image_bits
from mmoverlock.datasets.labels import check_files, check_labels, repeated_images, unserialized
from mmoverlock.utils.datasets import leaf_configs, leaf_datasets
from mmoverlock.utils.errors import shown
from mmoverlock.utils.registry import build, find_class

from .classes import check_names, untrained_classes
from .image_files import check_files_exist, check_sizes
from .label_images import check_label_images
from .left_out import counting, left_out
from .objects import check_any_object, check_objects, unused_categories
from .paths import check_path

_HEAD = re.compile(r'(^|\.)((bbox|mask|cls|decode|auxiliary)_head(\.\d+)?|head|data_preprocessor)$')
_TAIL = 2**22  # bytes in which a COCO file's categories must stand


def check_dataset(
    cfg: Mapping[str, Any], key: str, model: nn.Module, max_share: float = 0
) -> tuple[Any, Sequence[str] | None]:
    """Build the data set `cfg`, found under `key`, and compare it with the model and its files.

    What is left out is logged. Up to `max_share` (0 to 1) of its images may be missing.

    Returns:
        The data set and its classes.

    Raises:
        ValueError: a path is missing, classes are missing in the annotation file, the model's heads
            have another number of classes, a class or label is wrong, or no image is left.
    """
    leaves = list(leaf_configs(cfg, key))
    for leaf, leaf_key in leaves:
        _check_paths(leaf, leaf_key)
        check_files(leaf, leaf_key)
    empty = f'{key}: no image is left in the data set'
    try:
        dataset = build(DATASETS, _counted(cfg), key)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except ValueError as error:
        if 'need at least one array to concatenate' in str(error):  # BaseDataset, of no images
            raise ValueError(empty) from error
        raise
    built = list(zip(leaf_datasets(dataset), leaves, strict=False))
    notes = [note for one, (_, leaf_key) in built for note in left_out(one, leaf_key)]
    if len(dataset) == 0:
        raise ValueError('; '.join([empty, *notes]))
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if isinstance(classes, str):
        raise ValueError(f"{key}.metainfo.classes: '{classes}' is not a list, write ('{classes}',)")
    given = {
        name: module.num_classes
        for name, module in model.named_modules()
        if _HEAD.search(name) and getattr(module, 'num_classes', None) is not None
    }
    number = len(classes) if classes else given.get('head')
    for name, other in given.items():
        if classes and other != number:
            raise ValueError(f'model.{name}.num_classes is {other}, but {key} has {number} classes')
    for one, (leaf, leaf_key) in built:
        check_labels(one, leaf_key, number)
        notes += repeated_images(one, leaf_key)
        notes += _check_leaf(one, leaf, leaf_key, number, max_share)
        check_image_bits(one, leaf_key)
    if key.startswith('train'):
        filled = [one for one, _ in built if getattr(one, 'data_list', None)]
        check_any_object(filled, key)
        samples = [sample for one in filled for sample in one.data_list]
        known = all(hasattr(one, 'data_list') for one, _ in built)
        if number and known and all(isinstance(sample, Mapping) for sample in samples):
            notes += untrained_classes(samples, number, classes, key)
    for note in notes:
        print_log(note, logger='current', level=logging.WARNING)
    return dataset, classes


def _counted(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a data set's config that keeps its samples in memory, and what it leaves out."""
    cfg = unserialized(cfg)
    for leaf, _ in leaf_configs(cfg):
        kind = find_class(DATASETS, leaf)
        if inspect.isclass(kind) and issubclass(kind, BaseDataset):
            leaf['type'] = counting(kind)
    return cfg


def _check_leaf(
    dataset: Any, cfg: Mapping[str, Any], key: str, number: int | None, max_share: float
) -> list[str]:
    """Check the samples of a data set that is no wrapper; return what is odd but allowed."""
    if not getattr(dataset, 'data_list', None) or not isinstance(dataset.data_list[0], Mapping):
        return []
    if not hasattr(dataset, 'get_gt_labels'):  # mmpretrain's names may be any
        given = cfg.get('metainfo') or {}
        check_names(given.get('classes'), given.get('palette'), key)
    notes = check_files_exist(dataset, cfg, key, max_share)
    check_objects(dataset, cfg, key)
    check_sizes(dataset, cfg, key)
    notes += check_label_images(dataset, cfg, key, number)
    if hasattr(dataset, 'cat_img_map'):
        names = {as_id(one['id'], 'id'): one['name'] for one in _categories(dataset.ann_file)}
        notes += unused_categories(dataset, names, key)
    return notes


def check_topk(metric: Any, key: str, classes: Mapping[str, Sequence[str] | None]) -> None:
    """Raise ValueError if an accuracy counts more classes than there are."""
    topk = getattr(metric, 'topk', None) or (0,)
    if not all(isinstance(number, int) for number in topk):
        raise ValueError(f'{key}.topk is {topk}: whole numbers are needed')
    number = min((len(names) for names in classes.values() if names), default=max(topk))
    if max(topk) > number:
        raise ValueError(f'{key}.topk is {max(topk)}, but there are {number} classes')


def _check_paths(cfg: Mapping[str, Any], key: str) -> None:
    kind = find_class(DATASETS, cfg)
    if cfg.get('backend_args') or kind is None:
        return  # remote storage; an unknown type is told when it is built
    download = inspect.signature(kind.__init__).parameters.get('download')
    if download and cfg.get('download', download.default):
        return
    root, prefixes = cfg.get('data_root') or '', cfg.get('data_prefix') or {}
    check_path(root, f'{key}.data_root')
    paths = {'ann_file': cfg.get('ann_file')}
    if isinstance(prefixes, str):
        paths['data_prefix'] = prefixes
    else:
        paths.update({f'data_prefix.{name}': prefix for name, prefix in prefixes.items()})
    for name, path in paths.items():
        if path:
            check_path(str(Path(root, path)), f'{key}.{name}')
    if hasattr(kind, 'COCOAPI') and paths['ann_file']:
        classes = (cfg.get('metainfo') or {}).get('classes', kind.METAINFO.get('classes'))
        ordered = any('LVIS' in one.__name__ for one in kind.__mro__)
        _check_categories(classes, str(Path(root, paths['ann_file'])), key, ordered)


def _check_categories(
    classes: Sequence[str] | None, path: str, key: str, ordered: bool = False
) -> None:
    """Compare classes with a COCO file; LVIS's labels follow its file's order (`ordered`)."""
    if not classes or isinstance(classes, str) or '://' in path:
        return
    known = coco_categories(path)
    absent = [name for name in classes if str(name).strip() not in known]
    if absent:
        raise ValueError(
            f"{key}: {len(absent)} of its {len(classes)} classes are no categories of '{path}', "
            f"such as '{absent[0]}'; the file has {shown(known)}"
        )
    if ordered and list(classes) != known:
        raise ValueError(
            f"{key}.metainfo.classes are not all the categories of '{path}' in its order: give "
            f'{shown(known)}'
        )


def coco_categories(path: str) -> list[str]:
    """The category names of a COCO annotation file, found without parsing all of a large one.

    Raises:
        ValueError: the file is no COCO annotation file.
    """
    return [str(category['name']).strip() for category in _categories(path)]


def _categories(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            key = data.rfind(b'"categories"')  # often the last one in the file
            start = data.find(b'[', key) if key >= 0 else len(data)
            text = data[start : start + _TAIL].decode('utf-8', 'ignore')
        categories, _ = json.JSONDecoder().raw_decode(text)
        if any('name' not in category for category in categories):
            raise ValueError
        return categories
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"annotation file '{path}' has no list of COCO categories") from error
