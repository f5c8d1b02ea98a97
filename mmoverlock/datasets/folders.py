"""What data sets with one folder per class share."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.utils import scandir

from mmoverlock.utils.errors import shown

SPLITS = ('train', 'val')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')  # mmpretrain's


def check_split(split: str) -> str:
    """Return `split`, or raise ValueError if it is none."""
    if split not in SPLITS:
        raise ValueError(f"split='{split}' is none of {shown(SPLITS)}")
    return split


def read_lines(path: Path, what: str = 'file') -> list[str]:
    """The lines of a text file, called `what` in messages, that are neither empty nor comments.

    Raises:
        ValueError: there are none.
    """
    if not path.is_file():
        raise ValueError(f"{what} '{path}' does not exist")
    try:
        lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} '{path}' is not a text file") from error
    lines = [line for line in lines if line and not line.startswith('#')]
    if not lines:
        raise ValueError(f"{what} '{path}' is empty")
    return lines


def read_json(path: Path) -> Any:
    """The content of a JSON file; ValueError if there is none."""
    try:
        return json.loads('\n'.join(read_lines(path)))
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error


def read_class_ids(path: Path, what: str = 'class list') -> list[str]:
    """The class ids of a file, the first word of each line, in lexical order."""
    return ordered([line.split()[0] for line in read_lines(path, what)], f"{what} '{path}'")


def ordered(class_ids: Sequence[str], what: str) -> list[str]:
    """The class ids in lexical order, that of the labels; ValueError if one is named twice."""
    ids = sorted(class_ids)
    twice = [one for one, next_one in zip(ids, ids[1:], strict=False) if one == next_one]
    if twice:
        raise ValueError(f'{what} names {shown(twice)} twice')
    return ids


def labelled_images(folders: Mapping[str, Sequence[Path]]) -> list[dict]:
    """The samples of each class id's folders; labels count in this order.

    Raises:
        ValueError: a class has no image.
    """
    samples, empty = [], []
    for label, places in enumerate(folders.values()):
        names = [(one, sorted(scandir(one, SUFFIXES, case_sensitive=False))) for one in places]
        found = [str(place / name) for place, files in names for name in files]
        samples += [dict(img_path=path, gt_label=label) for path in found]
        if not found:
            empty.append(places[0])
    if empty:
        raise ValueError(
            f'{len(empty)} of {len(folders)} class folders hold no image '
            f'({" ".join(SUFFIXES)}): {shown(empty)}'
        )
    return samples


def listed_images(
    listed: Iterable[tuple[str, str]], folder: Path, ids: Sequence[str], path: Path
) -> list[dict]:
    """The samples of the classes `ids` among the file names and class ids that `path` lists.

    Raises:
        ValueError: a class has no image.
    """
    labels = {one: label for label, one in enumerate(ids)}
    samples = [
        dict(img_path=str(folder / name), gt_label=labels[one])
        for name, one in listed
        if one in labels
    ]
    found = {sample['gt_label'] for sample in samples}
    absent = [one for one, label in labels.items() if label not in found]
    if absent:
        raise ValueError(f"'{path}' names no image of {shown(absent)}")
    return samples
