"""Images and objects that a data set leaves out without a word: how many, and why."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from mmoverlock.datasets.formats.files import IMAGES
from mmoverlock.utils.errors import shown

_PICTURES = (*IMAGES, '.jfif', '.jpe', '.gif', '.avif', '.heic', '.heif', '.jp2')


@cache
def counting(kind: type) -> type:
    """A data set's class that keeps what it leaves out.

    Its objects have ``filtered``, the samples that the filter leaves out, and ``other_names``, how
    often an XML file (mmdet's XMLDataset) has an object of a name that is no class.
    """

    def filter_data(self: Any) -> list[dict]:
        before = list(self.data_list)
        after = kind.filter_data(self)
        kept = {id(sample) for sample in after}
        self.filtered = [sample for sample in before if id(sample) not in kept]
        return after

    def parse_instances(self: Any, tree: Any, *args: Any, **kwargs: Any) -> list[dict]:
        names = Counter(one.findtext('name') for one in tree.findall('object'))
        for name in self._metainfo['classes']:
            names.pop(name, None)
        self.other_names = self.other_names + names
        return kind._parse_instance_info(self, tree, *args, **kwargs)

    members = dict(filter_data=filter_data, filtered=(), __module__=kind.__module__)
    if hasattr(kind, '_parse_instance_info'):
        members.update(_parse_instance_info=parse_instances, other_names=Counter())
    return type(kind.__name__, (kind,), members)


def left_out(dataset: Any, key: str) -> Iterator[str]:
    """Lines on what a data set of a :func:`counting` class, built, does not use."""
    if getattr(dataset, 'filtered', ()):
        yield f'{key}: {_filtered(dataset)}'
    others = getattr(dataset, 'other_names', {})
    if others:
        yield (
            f'{key}: {sum(others.values())} objects are not used, as their names are not among its '
            f'classes: {shown(map(str, others))}'
        )
    if hasattr(dataset, 'extensions') and not dataset.ann_file:  # mmpretrain's CustomDataset
        skipped = [name for name in _files(dataset.img_prefix)
                   if not name.lower().endswith(tuple(dataset.extensions))]  # fmt: skip
        yield from _of_other_kind(skipped, dataset, f'{key}.extensions')
    elif hasattr(dataset, 'img_suffix') and hasattr(dataset, 'seg_map_suffix'):  # mmseg's
        yield from _unpaired(dataset, key)


def _filtered(dataset: Any) -> str:
    rules = dataset.filter_cfg or {}
    least = rules.get('min_size', 0)
    small, empty, others = [], [], []
    for sample in dataset.filtered:
        if 'width' in sample and min(sample['width'], sample['height']) < least:
            small.append(sample)
        elif rules.get('filter_empty_gt'):
            empty.append(sample)
        else:
            others.append(sample)
    reasons = [
        (small, f'with a side of fewer than {least} pixels (filter_cfg.min_size)'),
        (empty, 'without an object of the classes (filter_cfg.filter_empty_gt)'),
        (others, 'by its filter_cfg'),
    ]
    parts = [
        f"{len(samples)} {why}, the first '{samples[0].get('img_path')}'"
        for samples, why in reasons
        if samples
    ]
    total = len(dataset) + len(dataset.filtered)
    return f'{len(dataset.filtered)} of {total} images are left out: {"; ".join(parts)}'


def _files(folder: str) -> Iterator[str]:
    """The pictures in a folder and those below it."""
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.lower().endswith(_PICTURES) and not name.startswith('.'):
                yield os.path.join(parent, name)


def _of_other_kind(skipped: Iterable[str], dataset: Any, option: str) -> Iterator[str]:
    skipped = sorted(skipped)
    if skipped:
        kinds = shown(Counter(os.path.splitext(name)[1] for name in skipped))
        yield (
            f'{option}: {len(skipped)} of {len(skipped) + len(dataset)} images are left out, as it '
            f"does not have {kinds}; the first is '{skipped[0]}'"
        )


def _unpaired(dataset: Any, key: str) -> Iterator[str]:
    """Of mmseg's data sets: images of another suffix, and label images without an image."""
    images, maps = (dataset.data_prefix.get(name) for name in ('img_path', 'seg_map_path'))
    if dataset.ann_file or not images or '://' in images or not os.path.isdir(images):
        return
    apart = maps and os.path.isdir(maps) and not os.path.samefile(images, maps)
    end = dataset.seg_map_suffix
    skipped = [
        name
        for name in _files(images)
        if not name.endswith(dataset.img_suffix)
        and not (maps and name.endswith(end) and os.path.realpath(name).startswith(_within(maps)))
    ]
    yield from _of_other_kind(skipped, dataset, f'{key}.img_suffix')
    if apart:
        used = {os.path.normpath(one['seg_map_path']) for one in dataset.data_list}
        unused = sorted(name for name in _files(maps) if name.endswith(end)
                        and os.path.normpath(name) not in used)  # fmt: skip
        if unused:
            yield (
                f'{key}: {len(unused)} of {len(unused) + len(used)} label images belong to no '
                f"image, the first is '{unused[0]}'"
            )


def _within(folder: str) -> str:
    return os.path.join(os.path.realpath(folder), '')
