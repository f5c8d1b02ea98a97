"""Checks of classification data sets: annotation files, CIFAR's files, labels."""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmoverlock.utils.datasets import leaf_configs
from mmoverlock.utils.errors import shown
from mmoverlock.utils.registry import find_class


def unserialized(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a data set's config whose samples stay readable at once: faster to check."""
    cfg = copy.deepcopy(dict(cfg))
    for leaf, _ in leaf_configs(cfg):
        kind = find_class(DATASETS, leaf)
        if inspect.isclass(kind) and issubclass(kind, BaseDataset):
            arguments = inspect.signature(kind.__init__).parameters.values()
            if any(
                one.name == 'serialize_data' or one.kind == one.VAR_KEYWORD for one in arguments
            ):
                leaf['serialize_data'] = False
    return cfg


def check_files(cfg: Mapping[str, Any], key: str) -> None:
    """Check the files of a classification data set that would fail without saying why.

    Raises:
        ValueError: a line of the annotation file is not ``name label``; a file of CIFAR is missing
            or damaged.
    """
    kind = find_class(DATASETS, cfg)
    if not hasattr(kind, 'get_gt_labels') or cfg.get('backend_args'):
        return
    if hasattr(kind, '_find_samples'):  # CustomDataset, ImageNet
        _check_annotations(cfg, key)
    elif hasattr(kind, '_check_integrity') and not cfg.get('download', True):  # CIFAR
        _check_cifar(kind, cfg.get('data_root') or cfg.get('data_prefix') or '', key)


def _check_annotations(cfg: Mapping[str, Any], key: str) -> None:
    split = cfg.get('split')
    name = cfg.get('ann_file') or f'meta/{split}.txt'  # mmpretrain's ImageNet looks there
    path = Path(cfg.get('data_root') or '', name)
    if not path.is_file() or not cfg.get('with_label', True) or split == 'test':
        return
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{key}.ann_file: '{path}' is not a text file") from error
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(' ')
        if not name or not label.lstrip('-').isdecimal():
            raise ValueError(
                f"{key}.ann_file: '{path}', line {number}: '{line}' is not 'name label'"
            )


def _check_cifar(kind: Any, root: str, key: str) -> None:
    """Check that the unpacked files of mmpretrain's CIFAR10 or CIFAR100 are the published ones."""
    from mmpretrain.datasets.utils import calculate_md5

    folder = Path(root).expanduser() / kind.base_folder
    source = f'{kind.filename} ({kind.url})'
    for name, expected in [*kind.train_list, *kind.test_list]:
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{key}: '{path}' does not exist, unpack {source} there")
        found = calculate_md5(str(path))
        if expected and found != expected:
            raise ValueError(
                f"{key}: '{path}' is damaged: its MD5 sum is {found}, not {expected}; "
                f'unpack {source} again'
            )


def check_labels(dataset: Any, key: str, number: int | None) -> None:
    """Check the labels of a classification data set of an :func:`unserialized` config.

    Other data sets are let pass. `number` is how many classes there are, if known.

    Raises:
        ValueError: a class folder is empty, a label is out of range.
    """
    if not hasattr(dataset, 'get_gt_labels'):
        return
    samples = [(sample, _labels_of(dataset, sample)) for sample in dataset.data_list]
    labels = {label for _, found in samples for label in found}
    if not labels:
        return
    folders = getattr(dataset, 'folder_to_idx', {}) if dataset._indices is None else {}
    empty = [name for name, label in folders.items() if label not in labels]
    if empty:
        raise ValueError(
            f"{key}: {len(empty)} of the {len(folders)} class folders in '{dataset.img_prefix}' "
            f'hold no image: {shown(empty)}'
        )
    wrong = sorted(label for label in labels if label < 0 or (number and label >= number))
    if wrong:
        sample = next(sample for sample, found in samples if wrong[-1] in found)
        name = f" of '{sample['img_path']}'" if 'img_path' in sample else ''
        allowed = f'0 to {number - 1}' if number else 'at least 0'
        raise ValueError(f'{key}: label {wrong[-1]}{name} is out of range: {allowed} is allowed')


def _labels_of(dataset: Any, sample: Mapping[str, Any]) -> Sequence[int]:
    """The labels of an image: one, several of a MultiLabelDataset, or none."""
    label = sample.get('gt_label')
    if isinstance(label, int):
        return [label]
    several = any(kind.__name__ == 'MultiLabelDataset' for kind in type(dataset).__mro__)
    return np.ravel(label).tolist() if several and label is not None else []


def repeated_images(dataset: Any, key: str) -> Iterator[str]:
    """Lines on images that a classification data set in memory has more than once."""
    if not hasattr(dataset, 'get_gt_labels'):
        return
    labels: dict[str, int] = {}
    again, apart = [], []
    for sample in dataset.data_list:
        path, label = sample.get('img_path'), sample.get('gt_label')
        if not isinstance(path, str) or not isinstance(label, int):
            return  # images in memory; several labels an image, or none
        if path not in labels:
            labels[path] = label
        else:
            (again if labels[path] == label else apart).append((path, label))
    if again:
        yield f"{key}: {len(again)} images are listed before, the first '{again[0][0]}'"
    if apart:
        path, label = apart[0]
        yield (
            f'{key}: {len(apart)} images are listed before under another label, the first '
            f"'{path}' as {labels[path]} and {label}"
        )
