"""Classes: the same names with the same labels in data, folders and checkpoints."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmoverlock.utils.datasets import leaf_datasets
from mmoverlock.utils.errors import shown

_HEAD = re.compile(r'(^|\.)(decode|auxiliary)_head(\.\d+)?$')
_IGNORED = 255  # by default


def check_same_classes(classes: Mapping[str, Sequence[str] | None]) -> None:
    """Compare the classes of a run's data sets, given by their keys; ValueError if they differ."""
    known = {key: list(names) for key, names in classes.items() if names}
    first = next(iter(known), None)
    for key, names in known.items():
        if names != known[first]:
            odd = sorted({*names} ^ {*known[first]})
            what = f'{shown(odd)} only in one of them' if odd else 'in another order'
            raise ValueError(f'{first} and {key} have different classes: {what}')


def check_data_classes(
    datasets: Mapping[str, Any], classes: Mapping[str, Sequence[str] | None]
) -> None:
    """Compare a run's data sets, built, and their classes, both by the data sets' keys.

    Raises:
        ValueError: names, folders or the coding of label images differ.
    """
    check_same_classes(classes)
    leaves = {
        f'{key}{f".{number}" if number else ""}': one
        for key, dataset in datasets.items()
        for number, one in enumerate(leaf_datasets(dataset))
    }
    check_folders(leaves)
    check_label_coding(leaves)


def untrained_classes(
    samples: Iterable[Mapping[str, Any]], number: int, classes: Sequence[str] | None, key: str
) -> Iterator[str]:
    """A line if training has no image, or no object, of some of the `number` classes.

    Samples without labels of their own, as those of segmentation, are let pass.
    """
    labels = (label for sample in samples for label in _labels(sample))
    found = {label for label in labels if isinstance(label, int)}
    absent = [label for label in range(number) if label not in found]
    if found and absent:
        name = f"'{classes[absent[0]]}'" if classes else absent[0]
        yield f'{key}: nothing to train on for {len(absent)} of {number} classes, the first: {name}'


def _labels(sample: Mapping[str, Any]) -> Iterator[Any]:
    """The labels of a sample's objects, or else of the image; several, if they are a list."""
    if 'instances' in sample:
        objects = (one for one in sample['instances'] if not one.get('ignore_flag'))
        yield from (one.get('bbox_label') for one in objects)
    else:
        labels = sample.get('gt_label')
        yield from labels if isinstance(labels, list) else [labels]


def check_names(classes: Sequence[str] | None, palette: Any, key: str) -> None:
    """Check the names and colours that a data set of mmdet or mmseg is given.

    Raises:
        ValueError: a name is there twice, or there are fewer colours than classes.
    """
    names = [str(name).strip() for name in classes or ()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{key}.metainfo.classes: '{twice}' is there twice")
    colours = palette if isinstance(palette, (list, tuple)) else ()
    colours = [one for one in colours if isinstance(one, (list, tuple))]
    if colours and names and len(colours) < len(names):
        raise ValueError(
            f'{key}.metainfo.palette has {len(colours)} colours for {len(names)} classes'
        )


def check_folders(datasets: Mapping[str, Any]) -> None:
    """Check that class folders, whose order makes the labels, are the same in all data sets.

    Args:
        datasets: Of mmpretrain, built, by their keys; others are let pass.

    Raises:
        ValueError: they differ, or are in another order than the classes of the same names.
    """
    found = {key: list(getattr(one, 'folder_to_idx', {})) for key, one in datasets.items()}
    found = {key: names for key, names in found.items() if names}
    first = next(iter(found), None)
    for key, names in found.items():
        if names != found[first]:
            odd = sorted({*names} ^ {*found[first]})
            raise ValueError(
                f'{first} and {key} have different class folders, and labels count the folders: '
                f'{shown(odd)} only in one of them'
            )
        classes = list(datasets[key].metainfo.get('classes') or ())
        if classes != names and {*classes} == {*names}:
            raise ValueError(
                f'{key}.metainfo.classes are in another order than the folders, whose order makes '
                f'the labels: give {shown(names)}'
            )


def check_label_coding(datasets: Mapping[str, Any]) -> None:
    """Raise ValueError if label images are read in different ways by the data sets of a run."""
    for name in ('reduce_zero_label', 'ignore_index'):
        found = {key: getattr(one, name) for key, one in datasets.items() if hasattr(one, name)}
        first = next(iter(found), None)
        for key, value in found.items():
            if value != found[first]:
                raise ValueError(
                    f'{key}.{name} is {value!r}, but that of {first} is {found[first]!r}'
                )


def check_ignored_label(
    model: nn.Module, metrics: Mapping[str, Any], datasets: Mapping[str, Any]
) -> None:
    """Check that the heads, metrics and data sets of a segmentor ignore the same label.

    mmseg does not use the data sets' own value: its default lets others pass.

    Args:
        model: Built.
        metrics: Built, by their keys.
        datasets: Built, by their keys.

    Raises:
        ValueError: they do not.
    """
    leaves = {key: next(leaf_datasets(one)) for key, one in datasets.items()}
    leaves = {key: one for key, one in leaves.items() if hasattr(one, 'reduce_zero_label')}
    if not leaves:
        return
    heads = {f'model.{name}': one for name, one in model.named_modules() if _HEAD.search(name)}
    found = {key: getattr(one, 'ignore_index', None) for key, one in (heads | metrics).items()}
    found |= {key: one.ignore_index for key, one in leaves.items() if one.ignore_index != _IGNORED}
    found = {key: value for key, value in found.items() if value is not None}
    first = next(iter(found), None)
    for key, value in found.items():
        if value != found[first]:
            raise ValueError(
                f'{key}.ignore_index is {value!r}, but that of {first} is {found[first]!r}: they '
                'must be the same'
            )


def classes_of(checkpoint: Mapping[str, Any]) -> Sequence[str] | None:
    """The names that a checkpoint was trained on, if it tells; those of MMCV's time, too."""
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    known = meta.get('dataset_meta')
    known = known.get('classes') if isinstance(known, Mapping) else meta.get('CLASSES')
    return known if isinstance(known, (list, tuple)) else None


def check_tested_classes(known: Sequence[str] | None, now: Sequence[str] | None, path: str) -> None:
    """Compare the classes that a checkpoint to be tested names with those of the data.

    Other names are only logged.

    Raises:
        ValueError: a class of both has another label in the data.
    """
    if not known or not now or list(known) == list(now):
        return
    labels = {name: label for label, name in enumerate(known)}
    for label, name in enumerate(now):
        if labels.get(name, label) != label:
            raise ValueError(
                f"checkpoint '{path}' has its classes in another order than the data: '{name}' is "
                f'label {labels[name]} there and {label} in the data; give metainfo.classes in the '
                f'order of the checkpoint: {shown(known)}'
            )
    print_log(
        f"checkpoint '{path}' is of classes with other names ({shown(known)}) than the data "
        f'({shown(now)}); labels are compared as they are',
        logger='current',
        level=logging.WARNING,
    )
