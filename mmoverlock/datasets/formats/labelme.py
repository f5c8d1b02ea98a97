"""LabelMe's JSON files, one per image, with rectangles and polygons."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from .data import ObjectData
from .files import IMAGES, any_contains, find_file, read_json, split_of_folders, walk
from .library import parse, supervision_format
from .notes import Notes
from .objects import RawImage, RawObject, assemble, measure, sort_labels
from .shapes import box_corners

_SHAPES = ('rectangle', 'polygon')


def looks_like(root: Path) -> str | None:
    """The first LabelMe file of a folder, or None."""
    path = any_contains(walk(root, ('.json',)), rb'"shapes"\s*:', probes=10)
    return f"'{path.relative_to(root)}'" if path else None


def has_masks(root: Path) -> bool:
    """Whether one of the first files of a folder has a polygon."""
    return any_contains(walk(root, ('.json',)), rb'"polygon"') is not None


def read(root: Path) -> ObjectData:
    """Read a folder of LabelMe's.

    Classes are in the order of their names. Shapes of one label and group_id are one object. A
    rectangle is a box without a mask, unless it is in a group with polygons.

    Raises:
        ValueError: a file is damaged, a shape has no label or another form, or an image is
            missing; and as :func:`measure` and :func:`assemble`.
    """
    notes, labels = Notes(), {}
    pictures: dict[str, list[Path]] = {}
    for path in walk(root, IMAGES):
        pictures.setdefault(path.name, []).append(path)
        pictures.setdefault(path.stem, []).append(path)
    images: dict[Path, RawImage] = {}
    for path in walk(root, ('.json',)):
        content = read_json(path)
        if not isinstance(content, dict) or 'shapes' not in content:
            notes.add('JSON files without shapes, not used', f"'{path}'")
            continue
        picture = _find_picture(path, content, root, pictures)
        if picture in images:
            raise ValueError(f"'{images[picture].source}' and '{path}' are both for '{picture}'")
        split = split_of_folders(path, root)
        if split is None and picture.is_relative_to(root):
            split = split_of_folders(picture, root)
        images[picture] = RawImage(picture, split, path, _size(path, content))
        images[picture].objects = _objects(path, content['shapes'], labels, notes)
    for path in dict.fromkeys(path for same in pictures.values() for path in same):
        if path not in images:
            notes.add('images without annotations, not used', f"'{path}'")
    found = list(images.values())
    classes = sort_labels(found, labels)
    return assemble(root, 'LabelMe', classes, found, notes, measure(found, notes))


def _find_picture(
    path: Path, content: Mapping[str, Any], root: Path, pictures: Mapping[str, Sequence[Path]]
) -> Path:
    """The image of a LabelMe file: where the file says, beside it, or of this name elsewhere."""
    name = content.get('imagePath')
    if name is not None and not isinstance(name, str):
        raise ValueError(f"'{path}': imagePath is {name!r}, not a path")
    base = PureWindowsPath(name or '').name
    places = [path.parent]
    if name and (picture := find_file(name, places) or find_file(base, places)):
        return picture
    found = pictures.get(base or path.stem, [])
    for wanted in (
        lambda one: one.parent == path.parent,
        lambda one: split_of_folders(one, root) == split_of_folders(path, root),
    ):
        found = [one for one in found if wanted(one)] or found
    if len(found) > 1:
        raise ValueError(f"'{path}' may be for '{found[0]}' or '{found[1]}'")
    if not found:
        only = (
            ': it is only in the file, as imageData; save it beside'
            if content.get('imageData')
            else ''
        )
        raise ValueError(f"the image of '{path}', imagePath {name!r}, does not exist{only}")
    return found[0]


def _size(path: Path, content: Mapping[str, Any]) -> tuple[int, int] | None:
    size = content.get('imageWidth'), content.get('imageHeight')
    if not all(size):
        return None
    try:
        return int(size[0]), int(size[1])
    except (TypeError, ValueError):
        raise ValueError(
            f"'{path}': imageWidth {size[0]!r} and imageHeight {size[1]!r} are not numbers"
        ) from None


def _objects(path: Path, shapes: Any, labels: dict[str, int], notes: Notes) -> list[RawObject]:
    """The objects of a LabelMe file; new classes are added to `labels`."""
    if not isinstance(shapes, list) or not all(isinstance(one, dict) for one in shapes):
        raise ValueError(f"'{path}': shapes is not a list of shapes")
    groups: dict[Any, list[dict[str, Any]]] = {}  # in supervision's order
    used, names = [], []
    for number, shape in enumerate(shapes, 1):
        name = f'shape {number}'
        kind = shape.get('shape_type') or 'polygon'  # the first versions knew no other
        if kind not in _SHAPES:
            notes.add(f"shapes of type '{kind}', left out", f"'{path}', {name}")
            continue
        label = str(shape.get('label') if shape.get('label') is not None else '').strip()
        if not label:
            raise ValueError(f"'{path}', {name} has no label")
        labels.setdefault(label, len(labels))
        used.append(shape | dict(shape_type=kind, label=label))
        names.append(name)
        group = shape.get('group_id')
        key = name if group is None else (label, group)
        groups.setdefault(key, []).append(used[-1] | dict(name=name))
    if not used:
        return []
    to_detections = supervision_format('labelme').labelme_shapes_to_detections
    try:
        found = parse(lambda some: to_detections(some, labels, (1, 1), False), used, names)
    except ValueError as error:
        raise ValueError(f"'{path}', {error}") from None
    objects = []
    for members, (left, top, right, bottom) in zip(
        groups.values(), found.xyxy.tolist(), strict=True
    ):
        mask = None
        if any(one['shape_type'] == 'polygon' for one in members):
            mask = [_outline(one) for one in members]
        box = None if mask else [left, top, right - left, bottom - top]
        objects.append(RawObject(members[0]['name'], labels[members[0]['label']], box, mask))
    return objects


def _outline(shape: Mapping[str, Any]) -> list[float]:
    points = np.array(shape['points'], dtype=np.float64)
    if shape['shape_type'] == 'rectangle':
        (left, top), (right, bottom) = points.min(0), points.max(0)
        return box_corners((left, top, right - left, bottom - top))
    return points.ravel().tolist()
