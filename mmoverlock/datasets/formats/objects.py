"""From what a format's files say to :class:`ObjectData`: the checks and repairs that all share.

A value that has no meaning (text for a number, a box of three numbers, the size of another image)
raises ValueError. An object that trains nothing (outside its image, smaller than a pixel) is left
out, one that reaches outside is clipped, and a note says so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .data import HOLD_OUT, SPLITS, ObjectData
from .files import image_sizes
from .notes import Notes
from .shapes import Box, Size, box_corners, check_box, clip_box, fit_polygons, fit_run_lengths

_TOLERANCE = 1.0  # pixels by which an object may reach outside without a note: rounding
_MANY = 10  # of so many objects, half must be inside their images

_OUTSIDE = 'objects outside their image, left out'
_SMALL = 'objects narrower than a pixel, left out'
_CLIPPED = 'objects that reach outside their image, clipped'
_NO_AREA = 'objects whose mask has no area, ignored in training and evaluation'
_APART = 'objects whose box and mask are in different places'


@dataclass(slots=True)
class RawObject:
    """An object as its file states it.

    Attributes:
        name: Which of its file's objects: 'annotation 17', 'line 3'.
        label: Of the class, from 0.
        box: x, y, width, height in pixels, or None: computed from the mask.
        mask: Polygons of x, y, x, y, ... in pixels, run lengths, or None.
        ignored: Neither to be found nor background: COCO's crowds, VOC's difficult objects.
        area: In pixels, or None: computed.
    """

    name: str
    label: int
    box: Any
    mask: Any = None
    ignored: bool = False
    area: Any = None


@dataclass(slots=True)
class RawImage:
    """An image as its file states it.

    Attributes:
        path: Of the image.
        split: 'train', 'val', 'test' or None, if the data set is not divided.
        source: The file with its annotations.
        size: Width and height. If the file does not say, None, until :func:`measure` sets it.
        name: Which of its file's images, if there are several: 'image 17'.
        id: A number, or None: counted.
        objects: Of the image.
    """

    path: Path
    split: str | None
    source: Path
    size: Size | None = None
    name: str = ''
    id: int | None = None
    objects: list[RawObject] = field(default_factory=list)


def measure(images: Sequence[RawImage], notes: Notes) -> bool:
    """Set the sizes of images from their files; return whether the annotations ignore EXIF tags.

    An image is shown as its EXIF tag turns it, and its annotations are for the turned image, unless
    they state the size as stored.

    Raises:
        ValueError: an image cannot be read, the annotations state another size, or those of some
            images are for the turned image and those of others are not.
    """
    headers = image_sizes([image.path for image in images])
    unturned, turned = None, None  # the first image of each kind
    for image, (width, height, is_turned) in zip(images, headers, strict=True):
        stored = (width, height)
        presented = (height, width) if is_turned else stored
        if image.size not in (None, stored, presented):
            name = f', {image.name},' if image.name else ''
            swapped = ': width and height are swapped' if image.size == stored[::-1] else ''
            raise ValueError(
                f"'{image.source}'{name} states a size of {image.size[0]}x{image.size[1]}, but "
                f"'{image.path}' has {width}x{height} pixels{swapped}"
            )
        if image.size is not None and stored != presented:
            if image.size == stored:
                unturned = unturned or image
            else:
                turned = turned or image
        image.size = presented
    if unturned and turned:
        raise ValueError(
            f"'{unturned.path}' is annotated as stored, but '{turned.path}' as its EXIF tag turns "
            'it: only one of both is possible in a data set; store the images as they are shown'
        )
    annotated = 'as stored' if unturned else 'as turned'
    for image, (width, height, is_turned) in zip(images, headers, strict=True):
        if unturned:
            image.size = (width, height)
        if is_turned:
            kind = f'images that an EXIF tag turns by 90 degrees, annotated {annotated}'
            notes.add(kind, f"'{image.path}'")
    return bool(unturned)


def sort_labels(images: Sequence[RawImage], labels: Mapping[str, int]) -> list[str]:
    """Number the classes of all objects in the order of their names, which are returned."""
    classes = sorted(labels)
    ranks = {labels[name]: rank for rank, name in enumerate(classes)}
    for image in images:
        for one in image.objects:
            one.label = ranks[one.label]
    return classes


def assemble(
    root: Path,
    format: str,
    classes: Sequence[str],
    images: Sequence[RawImage],
    notes: Notes,
    ignore_orientation: bool,
) -> ObjectData:
    """Check and repair the objects of measured images, and divide the images into splits.

    Raises:
        ValueError: a value has no meaning, training or validation have no object, or most objects
            are not inside their images.
    """
    _fit_all(images, notes)
    divided = _divide(images, root, notes)
    if 'test' in divided and not any(image.objects for image in divided['test']):
        notes.add('splits without any object, not used', 'test')
        del divided['test']
    for split in ('train', 'val'):
        _check_classes(divided[split], split, classes, root, notes)
    with_masks = _have_masks([image for part in divided.values() for image in part], notes)
    splits = {split: _coco(part, root) for split, part in divided.items()}
    return ObjectData(
        root, format, tuple(classes), splits, with_masks, ignore_orientation, notes.lines()
    )


def _fit_all(images: Sequence[RawImage], notes: Notes) -> None:
    """Clip all objects to their images, and leave out those of which nothing is left."""
    found, misfits, no_area = [], [], []
    for image in images:
        kept = []
        for one in image.objects:
            where = f"'{image.source}', {one.name}"
            try:
                kind = _fit(one, image.size)
            except ValueError as error:
                raise ValueError(f'{where}: {error}') from None
            if kind == _NO_AREA:
                no_area.append((one, where))
            elif kind:
                notes.add(kind, where)
                misfits += [where] if kind != _SMALL else []
            if kind not in (_OUTSIDE, _SMALL):
                kept.append(one)
        found += image.objects
        image.objects = kept
    if len(found) >= _MANY and 2 * len(misfits) > len(found):
        raise ValueError(
            f'{len(misfits)} of {len(found)} objects are outside their image, or their box and '
            f'mask are in different places, the first: {misfits[0]}: are the coordinates in '
            'another unit or order?'
        )
    if any(one.mask for one in found):  # else the masks are empty in form only
        for one, where in no_area:
            one.ignored = True
            notes.add(_NO_AREA, where)


def _fit(one: RawObject, size: Size) -> str | None:
    """Check an object and clip it to its image; return what had to be done about it, if any."""
    has_mask = bool(one.mask)
    mask_box, mask_area, over = _fit_mask(one, size)
    if one.box is None and not has_mask:
        raise ValueError('it has neither a box nor a mask')
    if one.box is None and mask_box is None:
        return _OUTSIDE if over > _TOLERANCE else _SMALL
    stated = mask_box if one.box is None else check_box(one.box)
    one.box = x, y, width, height = clip_box(stated, size)
    if width < 1 or height < 1:  # mmdet would drop it without a word
        return _OUTSIDE if min(stated[2:]) >= 1 else _SMALL
    over = max(over, x - stated[0], y - stated[1], stated[2] - width, stated[3] - height)
    if over > _TOLERANCE or not _is_area(one.area):
        one.area = mask_area or width * height
    if has_mask and not one.mask:
        return _NO_AREA
    if over > _TOLERANCE:
        return _CLIPPED
    return _APART if mask_box and not _overlap(one.box, mask_box) else None


def _fit_mask(one: RawObject, size: Size) -> tuple[Box | None, float, float]:
    """Check and clip an object's mask; return its box, area, and how far it reached outside."""
    box, area, over = None, 0.0, 0.0
    if isinstance(one.mask, dict) and one.mask:
        one.mask, box, area = fit_run_lengths(one.mask, size)
    elif one.mask:
        one.mask, box, area, over = fit_polygons(one.mask, size)
    if box is None:
        one.mask = None
    return box, area, over


def _overlap(one: Box, other: Box) -> bool:
    """Whether two boxes have more than half of their union in common."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return 3 * common > one[2] * one[3] + other[2] * other[3]


def _is_area(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < float('inf')


def _divide(images: Sequence[RawImage], root: Path, notes: Notes) -> dict[str, Sequence[RawImage]]:
    """The images of each split; every HOLD_OUT-th is held out if none is for validation."""
    divided = {split: [one for one in images if one.split == split] for split in (*SPLITS, None)}
    undivided = divided.pop(None)
    if undivided and len(undivided) < len(images):
        raise ValueError(
            f"'{undivided[0].path}' belongs to no split, but other images in '{root}' do"
        )
    whole = undivided or divided['train']
    if not whole:
        raise ValueError(f"'{root}' has no image for training")
    if not divided['val']:
        if len(whole) < HOLD_OUT:
            raise ValueError(
                f"'{root}' has {len(whole)} images and none for validation: at least {HOLD_OUT} "
                'are needed to hold some out'
            )
        whole = sorted(whole, key=lambda image: _relative(image.path, root))
        divided['val'] = whole[HOLD_OUT - 1 :: HOLD_OUT]
        del whole[HOLD_OUT - 1 :: HOLD_OUT]
        divided['train'] = whole
        if not undivided:
            for image in divided['val']:
                kind = f'images of train held out for validation, every {HOLD_OUT}th'
                notes.add(kind, f"'{image.path}'")
    training = {image.path for image in divided['train']}
    for image in divided['val']:
        if image.path in training:
            notes.add('images for both training and validation', f"'{image.path}'")
    return {split: part for split, part in divided.items() if part}


def _check_classes(
    images: Sequence[RawImage], split: str, classes: Sequence[str], root: Path, notes: Notes
) -> None:
    """Note the classes without an object; ValueError if no class has any."""
    found = {one.label for image in images for one in image.objects if not one.ignored}
    if not found:
        raise ValueError(f"'{root}' has no object for {split}, in {len(images)} images")
    for label, name in enumerate(classes):
        if label not in found:
            notes.add(f'classes without an object for {split}', f"'{name}'")


def _have_masks(images: Sequence[RawImage], notes: Notes) -> bool:
    """Whether all objects have masks; if so, ignored ones get their box as a mask."""
    number, without = 0, []
    for image in images:
        wanted = [one for one in image.objects if not one.ignored]
        number += len(wanted)
        without += [(image, one) for one in wanted if not one.mask]
    if without and len(without) < number:
        for image, one in without:
            where = f"'{image.source}', {one.name}"
            notes.add('objects without a mask among others with one, so boxes alone', where)
    if without:
        return False
    for image in images:
        for one in image.objects:
            one.mask = one.mask or [box_corners(one.box)]
    return True


def _coco(images: Sequence[RawImage], root: Path) -> dict[str, list[dict[str, Any]]]:
    """A split in COCO's terms."""
    if any(image.id is None for image in images):
        for number, image in enumerate(images, 1):
            image.id = number
    content = dict(images=[], annotations=[])
    for image in images:
        name, (width, height) = _relative(image.path, root), image.size
        content['images'].append(dict(id=image.id, file_name=name, width=width, height=height))
        for one in image.objects:
            content['annotations'].append(
                dict(
                    id=len(content['annotations']) + 1,  # pycocotools takes 0 for 'not found'
                    image_id=image.id,
                    category_id=one.label + 1,
                    bbox=list(one.box),
                    area=one.area,
                    iscrowd=int(one.ignored),
                    **(dict(segmentation=one.mask) if one.mask else {}),
                )
            )
    return content


def _relative(path: Path, root: Path) -> str:
    """A path under `root` with slashes, or else the absolute path."""
    name = os.path.relpath(path, root)
    return os.path.abspath(path) if name.startswith('..') else Path(name).as_posix()
