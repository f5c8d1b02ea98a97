"""What data sets with one folder per class share."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmoverlock.utils.errors import shown

SPLITS = ('train', 'val')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')  # mmpretrain's


def check_split(split: str) -> str:
    """Return `split`, or raise ValueError if it is none."""
    if split not in SPLITS:
        raise ValueError(f"split='{split}' is none of {shown(SPLITS)}")
    return split


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file that are neither empty nor comments.

    Raises:
        ValueError: the file, called `what` in the message, is missing, no text or empty.
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


def read_class_ids(path: Path, what: str = 'class list') -> list[str]:
    """The class ids of a file, the first word of each line, in lexical order.

    Raises:
        ValueError: the file cannot be read, or names a class twice.
    """
    return ordered([line.split()[0] for line in read_lines(path, what)], f"{what} '{path}'")


def ordered(class_ids: Sequence[str], what: str) -> list[str]:
    """The class ids in lexical order, that of the labels; ValueError if one stands there twice."""
    ids = sorted(class_ids)
    twice = [one for one, next_one in zip(ids, ids[1:], strict=False) if one == next_one]
    if twice:
        raise ValueError(f'{what} names {shown(twice)} twice')
    return ids


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted; ValueError if it does not exist."""
    if not folder.is_dir():
        raise ValueError(f"folder '{folder}' does not exist")
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def image_files(folder: Path) -> list[str]:
    """The names of the image files in `folder`, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))


def labelled_images(folders: Mapping[str, Sequence[Path]]) -> list[dict]:
    """The samples of class folders: ``dict(img_path, gt_label)``.

    Args:
        folders: Class id to its folders; labels count in this order.

    Raises:
        ValueError: a class has no image.
    """
    samples, empty = [], []
    for label, places in enumerate(folders.values()):
        found = [str(place / name) for place in places for name in image_files(place)]
        samples += [dict(img_path=path, gt_label=label) for path in found]
        if not found:
            empty.append(places[0])
    if empty:
        raise ValueError(
            f'{len(empty)} of {len(folders)} class folders hold no image '
            f'({" ".join(SUFFIXES)}): {shown(empty)}'
        )
    return samples
