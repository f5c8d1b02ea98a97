"""Verify a data set: count its classes' images, decode each, tell expected from found."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmoverlock.utils.errors import why_unreadable
from mmoverlock.utils.registry import build

from .formats.files import missing_files
from .labels import check_files, check_labels, unserialized
from .parallel import in_parallel

_COLUMNS = 6
log = partial(print_log, logger='current')


@dataclass(frozen=True)
class Expected:
    """What a split must hold: classes, images per class from `low` to `high`, images in all."""

    classes: int
    low: int
    high: int
    images: int | None = None


def verify(cfg: Mapping[str, Any], expected: Expected, decode: bool) -> list[str]:
    """Build the data set `cfg` and log its counts; return what is not as expected.

    With `decode`, its images are decoded, too, in as many processes as cores.
    """
    split = cfg['split']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        check_files(cfg, split)
        dataset = build(DATASETS, unserialized(cfg), split)
    classes = dataset.metainfo['classes']
    check_labels(dataset, split, len(classes))
    samples = dataset.data_list
    counts = Counter(sample['gt_label'] for sample in samples)
    folders = getattr(dataset, 'folder_to_idx', {})
    ids = dataset.metainfo.get('class_ids', sorted(folders, key=folders.get) or classes)
    problems = compare(split, {one: counts[i] for i, one in enumerate(ids)}, expected)
    paths = [sample['img_path'] for sample in samples if 'img_path' in sample]
    if decode and paths:
        problems += [f'{split}: {text}' for text in unreadable_images(paths, split)]
    elif paths:
        missing = missing_files(paths)
        if missing:
            problems.append(
                f"{split}: '{missing[0]}' does not exist: {len(missing)} of {len(paths)} images"
            )
        log(f'{split}: the images were counted; a check decodes each as well')
    return problems


def finish(problems: Sequence[str]) -> None:
    """Log the problems and raise ValueError, or log that there are none."""
    if not problems:
        log('all is as expected')
        return
    log('\n  '.join(['wrong:', *problems]))
    more = f'; and {len(problems) - 1} more, see above' if problems[1:] else ''
    raise ValueError(f'{problems[0]}{more}')


def compare(split: str, counts: Mapping[str, int], expected: Expected) -> list[str]:
    """Log the counts of a split's classes; return what differs from the expected ones."""
    total = sum(counts.values())
    cells = [f'{name[:20]} {count}' for name, count in counts.items()]
    lines = [cells[i : i + _COLUMNS] for i in range(0, len(cells), _COLUMNS)]
    table = '\n'.join('  ' + ''.join(f'{cell:<28}' for cell in line).rstrip() for line in lines)
    log(f'{split}: {len(counts)} classes, {total} images\n{table}')
    problems = []
    if len(counts) != expected.classes:
        problems.append(f'{split}: {len(counts)} classes, expected {expected.classes}')
    if expected.images is not None and total != expected.images:
        problems.append(f'{split}: {total} images, expected {expected.images}')
    low, high = expected.low, expected.high
    allowed = str(low) if low == high else f'{low} to {high}'
    odd = {name: count for name, count in counts.items() if not low <= count <= high}
    if odd:
        found = ', '.join(f"'{name}' {count}" for name, count in list(odd.items())[:_COLUMNS])
        found += ', ...' if len(odd) > _COLUMNS else ''
        problems.append(f'{split}: {len(odd)} classes do not have {allowed} images each: {found}')
    return problems


def unreadable_images(paths: Sequence[str], name: str) -> list[str]:
    """Decode images in parallel; say which cannot be, and why."""
    found = in_parallel(unreadable, paths, f'decode {name}')
    return [f"'{path}': {why}" for path, why in zip(paths, found, strict=True) if why]


def unreadable(path: str) -> str | None:
    """Why an image file cannot be decoded to its end, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of odd metadata in some of ImageNet's images
            with Image.open(path) as image:
                image.convert('RGB')
    except Exception as error:  # every decoder has its own
        cut = 'truncated' in str(error)
        return 'it is cut short' if cut else why_unreadable(path, error)
    return None
