"""Checks of a config's data sets before a run: categories, number of classes, labels.

OpenMMLab's data sets fail late or not at all when a folder is missing or when an annotation file's
categories are not the config's classes (they then train on nothing).
"""

import inspect
import json
import mmap
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS
from torch import nn

from mmoverlock.datasets.image_bits import check_image_bits
from mmoverlock.datasets.labels import check_files, check_labels, unserialized
from mmoverlock.utils.datasets import leaf_configs, leaf_datasets
from mmoverlock.utils.errors import shown
from mmoverlock.utils.registry import build, find_class

from .paths import check_path

_HEAD = re.compile(r'(^|\.)((bbox|mask|cls|decode|auxiliary)_head(\.\d+)?|head|data_preprocessor)$')
_TAIL = 2**22  # bytes in which a COCO file's categories must stand


def check_dataset(cfg: Mapping[str, Any], key: str, model: nn.Module) -> Sequence[str] | None:
    """Build the data set `cfg`, found under `key`, compare it with the model, return its classes.

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
        dataset = build(DATASETS, unserialized(cfg), key)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except ValueError as error:
        if 'need at least one array to concatenate' in str(error):  # BaseDataset, of no images
            raise ValueError(empty) from error
        raise
    if len(dataset) == 0:
        raise ValueError(empty)
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
    for one, (_, leaf_key) in zip(leaf_datasets(dataset), leaves, strict=False):
        check_labels(one, leaf_key, number)
        check_image_bits(one, leaf_key)
    return classes


def check_same_classes(classes: Mapping[str, Sequence[str] | None]) -> None:
    """Compare the classes of a run's data sets, given by their keys; ValueError if they differ."""
    known = {key: list(names) for key, names in classes.items() if names}
    first = next(iter(known), None)
    for key, names in known.items():
        if names != known[first]:
            odd = sorted({*names} ^ {*known[first]})
            what = f'{shown(odd)} only in one of them' if odd else 'in another order'
            raise ValueError(f'{first} and {key} have different classes: {what}')


def check_topk(metric: Any, key: str, classes: Mapping[str, Sequence[str] | None]) -> None:
    """Raise ValueError if an accuracy counts more classes than there are."""
    topk = getattr(metric, 'topk', None) or (0,)
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
        _check_categories(classes, str(Path(root, paths['ann_file'])), key)


def _check_categories(classes: Sequence[str] | None, path: str, key: str) -> None:
    if not classes or isinstance(classes, str) or '://' in path:
        return
    known = coco_categories(path)
    absent = [name for name in classes if name not in known]
    if absent:
        raise ValueError(
            f"{key}: {len(absent)} of its {len(classes)} classes are no categories of '{path}', "
            f"such as '{absent[0]}'; the file has {shown(known)}"
        )


def coco_categories(path: str) -> list[str]:
    """The category names of a COCO annotation file, found without parsing all of a large one.

    Raises:
        ValueError: the file is no COCO annotation file.
    """
    try:
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            key = data.rfind(b'"categories"')  # often the last one in the file
            start = data.find(b'[', key) if key >= 0 else len(data)
            text = data[start : start + _TAIL].decode('utf-8', 'ignore')
        categories, _ = json.JSONDecoder().raw_decode(text)
        return [category['name'] for category in categories]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"annotation file '{path}' has no list of COCO categories") from error
