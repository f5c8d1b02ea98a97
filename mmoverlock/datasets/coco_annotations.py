"""A config's own COCO files: what is missing or faulty in them is mended as they are read, or told.

Training, validation and evaluation read the same mended content; the files stay as they are. What
has no meaning (text for a number, run lengths of another size) is refused with file, id and number.
What only trains nothing, or can be computed, is mended, and a line says so. Boxes that are usable
are never changed, so that the figures of published data stay comparable.
"""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmoverlock.compat.coco_api import MASKLESS

from .coco_oddities import note_oddities
from .formats.coco import (
    annotation_name,
    as_id,
    category_names,
    check_lists,
    check_names,
    drop_supercategories,
)
from .formats.files import read_json
from .formats.notes import Notes
from .formats.shapes import (
    Box,
    Size,
    check_box,
    check_polygons,
    clip_box,
    fit_polygons,
    fit_run_lengths,
)

_MANY = 10  # of so many objects, half must be inside their images
_FAR = 2**20  # pixels: the longest side that OpenCV reads; masks much larger exhaust the memory
_NO_MASK = [[0.0] * 4]  # mmdet ignores an object with such a polygon where it loads masks

_OUTSIDE = 'objects outside their image, left out'
_FLAT = 'objects whose box has no width or height, left out'
_CLIPPED = 'objects that reach far outside their image, clipped'
_UNKNOWN_IMAGE = 'annotations of images that are not listed, left out'
_UNKNOWN_CATEGORY = 'annotations of categories that are not listed, left out'
_BOX_OF_MASK = 'objects without a usable box, that of the mask is taken'
_TEXT = 'objects whose box is given as text, read as numbers'
_AREA = 'objects without a usable area, computed'
_CROWD = 'objects without a usable iscrowd, taken as single objects'
_POLYGON = 'polygons of fewer than three points or an odd number of values, left out'
_MASKLESS = 'objects without a usable mask among others with one, ignored where masks are used'
_IDS = 'annotations numbered again, as ids are missing, 0, twice or text'

_said: set[str] = set()


def read_annotations(path: str) -> dict[str, Any]:
    """Read a COCO file of objects, mended; other files (panoptic, captions) as they are.

    What was mended is logged, once for each file.

    Raises:
        ValueError: the file is no COCO file, or something in it has no meaning.
    """
    content = read_json(Path(path))
    notes = Notes()
    if _has_objects(content):
        mend(content, path, notes)
    for line in (f"'{path}': {note}" for note in notes.lines()):
        if line not in _said:
            _said.add(line)
            print_log(line, logger='current', level=logging.WARNING)
    return content


def _has_objects(content: Any) -> bool:
    """Whether a file is to be one of objects; a wrong one is, so that it is refused."""
    if not isinstance(content, dict):
        return True
    firsts = [(content.get(key) or [{}])[:1] for key in ('annotations', 'images')
              if isinstance(content.get(key, []), list)]  # fmt: skip
    keys = {key for first in firsts for one in first if isinstance(one, dict) for key in one}
    return not keys & {'segments_info', 'caption', 'expressions'}


def mend(content: Any, path: str, notes: Notes) -> None:
    """Mend the content of a COCO file of objects in place.

    Raises:
        ValueError: something has no meaning.
    """
    if isinstance(content, dict):
        content.setdefault('annotations', [])  # of images for testing
    check_lists(content, path)
    categories = _mend_categories(content, path, notes)
    images = _mend_images(content, path, notes)
    kept, faults = [], []
    with_masks = False
    for number, one in enumerate(content['annotations'], 1):
        try:
            if _mend_object(one, number, images, categories, notes):
                kept.append(one)
                with_masks = with_masks or bool(one.get('segmentation'))
        except ValueError as error:
            faults.append(f'{annotation_name(one, number)}: {error}')
    if faults:
        raise ValueError(
            f"{len(faults)} of {len(content['annotations'])} annotations of '{path}' cannot be "
            f'used, the first: {faults[0]}'
        )
    _check_places(len(content['annotations']), notes, path)
    note_oddities(kept, images, path, notes)
    for number, one in enumerate(kept, 1):
        if with_masks and not one.get('segmentation'):
            notes.add(_MASKLESS, annotation_name(one, number))
            one[MASKLESS] = one['iscrowd']
            one['segmentation'] = _NO_MASK
        elif not with_masks:
            one.pop('segmentation', None)
    content['annotations'] = kept
    _number(kept, notes)


def _mend_categories(
    content: Mapping[str, Any], path: str, notes: Notes
) -> Mapping[int | str, str]:
    """Make ids numbers and names plain; return the names by id."""
    names = category_names(path, content)
    for one, (key, name) in zip(content['categories'], names.items(), strict=True):
        one['id'], one['name'] = key, name
    if len({*names.values()}) < len(names):
        drop_supercategories({path: (None, content)}, {path: names}, notes)
        content['categories'] = [one for one in content['categories'] if one['id'] in names]
    check_names(path, names)
    _check_kind(names, 'categories', path)
    return names


def _check_kind(ids: Collection[int | str], what: str, path: str) -> None:
    """Raise ValueError if ids are numbers and texts, which pycocotools cannot sort."""
    texts = [key for key in ids if isinstance(key, str)]
    if texts and len(texts) < len(ids):
        raise ValueError(
            f"'{path}': some ids of {what} are numbers and some are not, such as {texts[0]!r}"
        )


def _mend_images(content: Any, path: str, notes: Notes) -> dict[int | str, Mapping[str, Any]]:
    """Make ids and sizes numbers, drop what is listed twice; return the images by id."""
    found: dict[int | str, Mapping[str, Any]] = {}
    names: set[str] = set()
    for one in content['images']:
        key = one['id'] = as_id(one.get('id'), f"'{path}': the id of an image")
        where = f'image {key!r}'
        name = one.get('file_name')
        if key in found:
            if found[key].get('file_name') != name:
                raise ValueError(f"'{path}': two images have the id {key!r}")
            notes.add('images listed twice, used once', where)
            continue
        if isinstance(name, str):
            if name in names:
                notes.add('images with the file name of another, used like different images', where)
            names.add(name)
        for side in ('width', 'height'):
            if type(one.get(side)) is not int or not 0 < one[side] <= _FAR:
                one[side] = _side(one.get(side), f"'{path}', {where}: {side}")
        found[key] = one
    _check_kind(found, 'images', path)
    content['images'] = list(found.values())
    return found


def _side(value: Any, where: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not (1 <= number <= _FAR and number.is_integer()):
        raise ValueError(f'{where} is {value!r}: a number of pixels up to {_FAR} is needed')
    return int(number)


def _mend_object(
    one: dict[str, Any],
    number: int,
    images: Mapping[int | str, Mapping[str, Any]],
    categories: Mapping[int | str, str],
    notes: Notes,
) -> bool:
    """Mend an annotation in place; return whether it is to be kept.

    Afterwards `segmentation` is absent or None if the mask is not usable. ValueError if a value has
    no meaning.
    """
    for key in ('image_id', 'category_id'):
        if type(one.get(key)) is not int:
            one[key] = as_id(one.get(key), key)
    image = images.get(one['image_id'])
    if image is None or one['category_id'] not in categories:
        kind = _UNKNOWN_IMAGE if image is None else _UNKNOWN_CATEGORY
        notes.add(kind, annotation_name(one, number))
        return False
    size = image['width'], image['height']
    if one.get('segmentation') is not None:
        one['segmentation'] = _mend_mask(one['segmentation'], size, one, number, notes)
    if not _is_box(one.get('bbox'), size) and not _mend_box(one, size, number, notes):
        return False
    crowd = one.get('iscrowd')
    if crowd is True or crowd is False:
        one['iscrowd'] = int(crowd)
    elif crowd not in (0, 1):
        one['iscrowd'] = int(str(crowd).strip() == '1')
        if one['iscrowd'] == 0 and str(crowd).strip() != '0':
            notes.add(_CROWD, annotation_name(one, number))
    area = one.get('area')
    if type(area) not in (int, float) or not 0 < area < math.inf:
        notes.add(_AREA, annotation_name(one, number))
        area = _mask_box(one.get('segmentation'), size)[1]
        if not area:
            one['segmentation'] = None
        one['area'] = area or one['bbox'][2] * one['bbox'][3]
    return True


def _mend_mask(mask: Any, size: Size, one: Any, number: int, notes: Notes) -> Any:
    """The usable part of a mask, or None."""
    if isinstance(mask, dict):
        return mask if mask and fit_run_lengths(mask, size)[1] else None
    try:
        if all(
            len(p) >= 6 and len(p) % 2 == 0 and math.isfinite(sum(p))
            and -_FAR < min(p) and max(p) < _FAR
            for p in mask
        ):  # fmt: skip
            return mask or None
    except (TypeError, OverflowError):
        pass
    if isinstance(mask, list) and mask and not any(isinstance(part, list) for part in mask):
        mask = [mask]  # a single polygon that is in no list
    whole = [p for p in mask if len(p) % 2 == 0] if _are_lists(mask) else mask
    whole = [p.ravel().tolist() for p in check_polygons(whole) if len(p) >= 3]
    if any(mask) and len(whole) < len(mask):
        notes.add(_POLYGON, annotation_name(one, number))
    if any(max(map(abs, p)) >= _FAR for p in whole):
        notes.add(_CLIPPED, annotation_name(one, number))
        whole = fit_polygons(whole, size)[0]
    return whole or None


def _are_lists(mask: Any) -> bool:
    return isinstance(mask, list) and all(isinstance(part, list) for part in mask)


def _mask_box(mask: Any, size: Size) -> tuple[Box | None, float]:
    """The box and the area of a usable mask; None and 0 if there is none."""
    if not mask:
        return None, 0.0
    if isinstance(mask, dict):
        return fit_run_lengths(mask, size)[1:]
    return fit_polygons(mask, size)[1:3]


def _is_box(box: Any, size: Size) -> bool:
    """Whether a box is four numbers, and some of it is in the image."""
    try:
        x, y, width, height = box
        return (
            width > 0 and height > 0 and x < size[0] and y < size[1]
            and x + width > 0 and y + height > 0 and abs(x) + abs(y) + width + height < 4 * _FAR
        )  # fmt: skip
    except (TypeError, ValueError, OverflowError):
        return False


def _mend_box(one: dict[str, Any], size: Size, number: int, notes: Notes) -> bool:
    """Put the box in order, or take that of the mask; return whether there is anything of it."""
    box, why = one.get('bbox'), _FLAT
    if _is_numbers(box):
        if any(isinstance(value, str) for value in box):
            notes.add(_TEXT, annotation_name(one, number))
        box = one['bbox'] = [float(value) for value in box]
        if _is_box(box, size):
            return True
        if max(map(abs, box)) >= _FAR and min(clip_box(box, size)[2:]) > 0:
            notes.add(_CLIPPED, annotation_name(one, number))
            one['bbox'] = list(clip_box(box, size))
            return True
        why = _OUTSIDE if min(box[2:]) > 0 else _FLAT
    mask_box = _mask_box(one.get('segmentation'), size)[0]
    if mask_box is not None and min(mask_box[2:]) > 0:
        notes.add(_BOX_OF_MASK, annotation_name(one, number))
        one['bbox'] = list(mask_box)
        return True
    if not box:
        raise ValueError('it has neither a box nor a mask')
    if not _is_numbers(box):
        check_box([box] if isinstance(box, str) else box)
    notes.add(why, annotation_name(one, number))
    return False


def _is_numbers(box: Any) -> bool:
    """Whether a box is a list of four finite numbers, perhaps as text."""
    if not isinstance(box, list) or len(box) != 4:
        return False
    try:
        return all(math.isfinite(float(value)) for value in box)
    except (TypeError, ValueError, OverflowError):
        return False


def _check_places(number: int, notes: Notes, path: str) -> None:
    """Raise ValueError if most objects cannot be used: something about all of them is wrong."""
    misfits = notes.count(_OUTSIDE) + notes.count(_FLAT)
    if number >= _MANY and 2 * misfits > number:
        raise ValueError(
            f"{misfits} of {number} objects of '{path}' are outside their image or have no width "
            f'or height, the first: {notes.first(_OUTSIDE) or notes.first(_FLAT)}: are the '
            'coordinates in another unit or order?'
        )
    for kind, what in ((_UNKNOWN_IMAGE, 'an image'), (_UNKNOWN_CATEGORY, 'a category')):
        if number and notes.count(kind) == number:
            raise ValueError(f"no annotation of '{path}' is of {what} that is listed")


def _is_number(key: Any) -> bool:
    return type(key) is int and 0 < key < 2**53  # pycocotools keeps ids as floats


def _number(annotations: Sequence[dict[str, Any]], notes: Notes) -> None:
    """Number the annotations from 1 if their ids cannot be used.

    pycocotools takes 0 for 'not found', and keeps one of several with the same id.
    """
    ids = [one.get('id') for one in annotations]
    if all(_is_number(key) for key in ids) and len({*ids}) == len(ids):
        return
    seen: set[Any] = set()
    for number, one in enumerate(annotations, 1):
        key = one.get('id')
        if not _is_number(key) or key in seen:
            notes.add(_IDS, annotation_name(one, number))
        else:
            seen.add(key)
    for number, one in enumerate(annotations, 1):
        one['id'] = number
