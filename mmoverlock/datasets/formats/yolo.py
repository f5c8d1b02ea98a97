"""YOLO's label files, one a picture, with boxes or polygons; Ultralytics' rules for data.yaml."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from mmoverlock.utils.errors import shown

from .data import SPLITS, ObjectData
from .files import IMAGES, any_contains, contains, read_text, split_of_folders, walk
from .library import parse, supervision_format
from .notes import Notes
from .objects import RawImage, RawObject, assemble, measure

_CLASS_FILES = ('classes.txt', 'labels/classes.txt', 'obj.names')  # the last is Darknet's
_LABEL = rb'(?m)\A\s*\d+(\s+[-+.e\d]+){4}'  # the start of a label file
_POLYGON = rb'(?m)^\s*\d+([ \t]+[-+.e\d]+){6}'


def looks_like(root: Path) -> str | None:
    """The file that names the classes, or the first label file, or None."""
    named = _config_files(root)[:1] or [root / name for name in _CLASS_FILES]
    labels = _label_files(root)
    for path in named:
        if path.is_file() and (contains(path, rb'(?m)^\s*(train|val)\s*:') or labels):
            return f"'{path.relative_to(root)}'"
    return f"'{labels[0].relative_to(root)}'" if labels else None


def has_masks(root: Path) -> bool:
    """Whether one of the first label files of a folder has a polygon."""
    return any_contains(walk(root, ('.txt',)), _POLYGON) is not None


def read(root: Path) -> ObjectData:
    """Read a folder of YOLO's.

    Raises:
        ValueError: the classes have no names, a folder or label file is missing or has another
            form; and as :func:`measure` and :func:`assemble`.
    """
    notes = Notes()
    config_file = _config_file(root)
    config = _read_config(config_file) if config_file else {}
    classes = _class_names(root, config_file, config)
    images = [
        RawImage(path, split, _label_file(path, root))
        for split, paths in _image_files(root, config_file, config, notes).items()
        for path in paths
    ]
    _check_label_files(root, images, notes)
    ignore_orientation = measure(images, notes)
    keypoints = _keypoint_values(config_file, config)
    for image in images:
        if image.source.is_file():
            _add_objects(image, classes, keypoints, notes)
        else:
            notes.add('images without a label file, background', f"'{image.path}'")
    return assemble(root, 'YOLO', list(classes.values()), images, notes, ignore_orientation)


def _config_files(root: Path) -> list[Path]:
    files = walk(root, ('.yaml', '.yml'), deep=False)
    files = [path for path in files if contains(path, rb'(?m)^["\']?names["\']?\s*:')]
    return [path for path in files if path.stem == 'data'] or files


def _label_files(root: Path) -> list[Path]:
    """The first label file that is in a folder 'labels' or beside an image, in a list."""
    for path in walk(root, ('.txt',)):
        if 'labels' in path.relative_to(root).parts[:-1] or any(
            path.with_suffix(suffix).is_file() for suffix in IMAGES
        ):
            if path.name != 'classes.txt' and contains(path, _LABEL):
                return [path]
    return []


def _config_file(root: Path) -> Path | None:
    files = _config_files(root)
    if len(files) > 1:
        raise ValueError(f"'{root}' has {len(files)} YAML files with names: {shown(files)}")
    return files[0] if files else None


def _read_config(path: Path) -> dict[str, Any]:
    """The content of a YAML file, all scalars as they are written: a class may be called 'no'."""
    try:
        config = yaml.load(read_text(path), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise ValueError(f"'{path}' has no keys, 'names' and 'train' are needed")
    return config


def _class_names(root: Path, path: Path | None, config: dict[str, Any]) -> dict[int, str]:
    """The names of the classes by their numbers in the label files."""
    if path is None:
        path = next((root / name for name in _CLASS_FILES if (root / name).is_file()), None)
        if path is None:
            raise ValueError(
                f"'{root}' has YOLO's label files, but no data.yaml with 'names' and no "
                'classes.txt: the classes have no names'
            )
        found = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    else:
        found = config.get('names')
    if isinstance(found, list):
        found = dict(enumerate(found))
    names = {}
    for key, name in found.items() if isinstance(found, dict) else ():
        if not re.fullmatch(r'\s*\d+\s*', str(key)) or not isinstance(name, str) or not name:
            raise ValueError(f"'{path}', names: {key!r}: {name!r} is not a number and a name")
        names[int(key)] = name.strip()
    if not names:
        raise ValueError(f"'{path}', names: {found!r} is not a list of names")
    twice = [name for name in names.values() if list(names.values()).count(name) > 1]
    if twice:
        raise ValueError(f"'{path}': two classes have the name '{twice[0]}'")
    if 'nc' in config and config['nc'] != str(len(names)):
        raise ValueError(f"'{path}': nc is {config['nc']}, but there are {len(names)} names")
    return dict(sorted(names.items()))


def _image_files(
    root: Path, path: Path | None, config: dict[str, Any], notes: Notes
) -> dict[str | None, list[Path]]:
    """The images of each split, as the YAML file says, or as the folders are called."""
    if any(config.get(split) for split in SPLITS):
        named = [split for split in SPLITS if config.get(split)]
        return {split: _listed(path, config, split, notes) for split in named}
    images = list(walk(root, IMAGES))
    inside = [one for one in images if 'images' in one.relative_to(root).parts[:-1]]
    found: dict[str | None, list[Path]] = {}
    for one in inside or images:
        found.setdefault(split_of_folders(one, root), []).append(one)
    return found


def _listed(path: Path, config: dict[str, Any], split: str, notes: Notes) -> list[Path]:
    """The images in the folders, and of the lists, that data.yaml names for a split.

    Roboflow's files name test images also where there are none.
    """
    entries = config[split] if isinstance(config[split], list) else [config[split]]
    bases = [path.parent / str(config.get('path') or '.').replace('\\', '/'), path.parent]
    images = []
    for entry in entries:
        entry = str(entry).replace('\\', '/')
        places = _places(entry, bases)
        place = next((one for one in places if one.exists()), None)
        if place is None and split != 'test':
            raise ValueError(
                f"'{path}', {split}: '{entry}' does not exist, looked for "
                f'{shown(dict.fromkeys(map(str, places)))}'
            )
        if place is None:
            listed = []
        elif place.is_file():
            lines = [line.strip() for line in read_text(place).splitlines() if line.strip()]
            listed = [_find_listed(line.replace('\\', '/'), place, bases) for line in lines]
        else:
            listed = list(walk(place, IMAGES))
        if not listed and split == 'test':
            notes.add('folders of test images without any, not used', f"'{path}', '{entry}'")
        elif not listed:
            raise ValueError(f"'{path}', {split}: '{place}' has no images ({' '.join(IMAGES)})")
        images += listed
    return list(dict.fromkeys(images))


def _places(name: str, bases: Sequence[Path]) -> list[Path]:
    """Where a file or folder that data.yaml or a list names may be, the likeliest first.

    Roboflow's files say '../train/images' for a folder beside the file, as Ultralytics knows; CVAT
    puts 'data/' before all names; and a data set may have been written at another place. So leading
    folders are left out, as long as one remains: 'images' alone would be those of all splits.
    """
    parts = PurePosixPath(name).parts
    tails = ['/'.join(parts[i:]) for i in range(1, len(parts) - 1)]
    names = (name, name.removeprefix('../'), *tails)
    return [base / one for one in dict.fromkeys(names) for base in bases]


def _find_listed(line: str, place: Path, bases: Sequence[Path]) -> Path:
    places = _places(line, (place.parent, *bases))
    return next((one for one in places if one.is_file()), places[0])


def _label_file(image: Path, root: Path) -> Path:
    """In the folder 'labels' instead of 'images', or beside the image."""
    inside = image.is_relative_to(root)
    parts = list((image.relative_to(root) if inside else image).parts[:-1])
    beside = image.with_suffix('.txt')
    if 'images' not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
    path = Path(root if inside else '', *parts, beside.name)
    return path if path.is_file() or not beside.is_file() else beside


def _check_label_files(root: Path, images: Sequence[RawImage], notes: Notes) -> None:
    owners: dict[Path, Path] = {}
    for image in images:
        other = owners.setdefault(image.source, image.path)
        if other != image.path:
            raise ValueError(f"'{other}' and '{image.path}' have the same label file")
    if not images:
        raise ValueError(f"'{root}' has no images ({' '.join(IMAGES)})")
    if not any(path.is_file() for path in owners):
        raise ValueError(
            f"none of the {len(images)} images has a label file, for '{images[0].path}' it would "
            f"be '{images[0].source}'"
        )
    for folder in dict.fromkeys(path.parent for path in owners):
        for path in walk(folder, ('.txt',), deep=False):
            if path not in owners and contains(path, _LABEL):
                notes.add('label files without an image, not used', f"'{path}'")


def _keypoint_values(path: Path | None, config: dict[str, Any]) -> int:
    """How many numbers follow a box for its keypoints."""
    shape = config.get('kpt_shape') or ()
    try:
        return int(np.prod([int(value) for value in shape])) if shape else 0
    except (TypeError, ValueError):
        raise ValueError(f"'{path}', kpt_shape: {shape!r} is not a list of two numbers") from None


def _add_objects(image: RawImage, classes: dict[int, str], keypoints: int, notes: Notes) -> None:
    """Put the objects of an image's label file into it."""
    lines = [line.split() for line in read_text(image.source).splitlines()]
    numbered = {f'line {number}': line for number, line in enumerate(lines, 1) if line}
    for name, line in numbered.items():
        if keypoints and len(line) == 5 + keypoints:
            numbered[name] = line[:5]
            notes.add('keypoints, not used', f"'{image.source}', {name}")
        elif len(line) >= 6 and len(line) % 2 == 0:
            numbered[name] = line[:-1]
            notes.add('scores or tracks behind a label, not used', f"'{image.source}', {name}")
    if not numbered:
        return
    to_detections = supervision_format('yolo').yolo_annotations_to_detections

    def boxes(lines: Sequence[Sequence[str]]) -> Any:
        return to_detections([' '.join(line) for line in lines], (1, 1), with_masks=False)

    try:
        found = parse(boxes, list(numbered.values()), list(numbered))
    except ValueError as error:
        raise ValueError(f"'{image.source}', {error}") from None
    labels = {number: label for label, number in enumerate(classes)}
    scale = np.array(image.size * 2)
    for (name, line), number, box in zip(
        numbered.items(), found.class_id.tolist(), found.xyxy, strict=True
    ):
        where = f"'{image.source}', {name}"
        if number not in labels:
            allowed = shown(map(str, labels)) if len(labels) < 7 else f'0 to {max(labels)}'
            raise ValueError(f'{where}: class {number} has no name, there are {allowed}')
        if not (abs(box - 0.5) < 1.5).all():  # also if not a number
            raise ValueError(
                f"{where}: '{' '.join(line[:5])}' are not shares of the image's width and height, "
                'from 0 to 1: pixels?'
            )
        mask = None
        if len(line) > 5:
            points = np.array(line[1:], dtype=np.float64).reshape(-1, 2) * image.size
            mask = [points.ravel().tolist()]
        left, top, right, bottom = (box.astype(np.float64) * scale).tolist()
        # Rounded: six digits of a share give a box of one pixel a width of 0.99999.
        box = [round(value, 3) for value in (left, top, right - left, bottom - top)]
        image.objects.append(RawObject(name, labels[number], None if mask else box, mask))
