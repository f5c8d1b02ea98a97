"""What is probably a mistake in a COCO file, though each of its objects can be used: told."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .formats.coco import annotation_name
from .formats.notes import Notes

_MANY = 10  # of so many boxes, most must be inside their images
_ROUNDING = 2  # pixels by which a box may reach beyond its image
_SPREAD = 2**0.5  # images and boxes that differ get different sums

_TINY = 'objects narrower than a pixel, which are evaluated but train nothing'
_IGNORE = 'objects with "ignore" but no "iscrowd", which are evaluated but train nothing'
_TWICE = 'objects listed before, with the same image, category, box and mask, used again'
_BEYOND = (
    'boxes that end beyond their image (are they x, y, right, bottom instead of x, y, width, '
    'height?)'
)


def note_oddities(
    annotations: Sequence[Mapping[str, Any]],
    images: Mapping[int | str, Mapping[str, Any]],
    path: str,
    notes: Notes,
) -> None:
    """Look at the mended objects of a COCO file, which are not changed.

    Args:
        annotations: With a usable box, an image and a category each.
        images: By id, with width and height in pixels.
        path: Of the file.
        notes: Gets the cases of each kind, if there are too many for published data, which have a
            few of most kinds.

    Raises:
        ValueError: most boxes are relative to the image's size.
    """
    total = len(annotations)
    order = {key: place for place, key in enumerate(images)}
    owners = np.array([order[one['image_id']] for one in annotations], int)
    sizes = np.array([(one['width'], one['height']) for one in images.values()], float)
    sizes = sizes.reshape(-1, 2)[owners]
    values = chain.from_iterable([one['bbox'] for one in annotations])
    boxes = np.fromiter(values, float, 4 * total).reshape(total, 4)

    relative = (boxes.min(1) >= 0) & (boxes.max(1) <= 1) & (sizes.max(1) > 1)
    if 2 * relative.sum() > total:
        first = int(relative.argmax())
        raise ValueError(
            f"{relative.sum()} of {total} boxes of '{path}' have only values from 0 to 1, the "
            f'first: {annotation_name(annotations[first], first + 1)}: are the coordinates '
            "relative to the image's size? Pixels are needed"
        )
    ends = boxes[:, :2] + boxes[:, 2:]
    ignored = [  # mmdet's training leaves them out, pycocotools resets the key
        place for place, one in enumerate(annotations) if one.get('ignore') and not one['iscrowd']
    ]
    for kind, share, least, cases in (
        (_TINY, 0.001, 1, np.flatnonzero(boxes[:, 2:].min(1) < 1)),
        (_IGNORE, 0, 1, ignored),
        (_TWICE, 0.001, 1, _repeated(annotations, owners, boxes)),
        (_BEYOND, 0.1, _MANY, np.flatnonzero((ends > sizes + _ROUNDING).any(1))),
    ):
        if total >= least and len(cases) > share * total:
            for place in cases:
                notes.add(kind, annotation_name(annotations[place], int(place) + 1))


def _repeated(
    annotations: Sequence[Mapping[str, Any]], owners: np.ndarray, boxes: np.ndarray
) -> list[int]:
    """The places of annotations that say the same as an earlier one.

    Args:
        annotations: Of a file.
        owners: Number of the image of each, (annotations,).
        boxes: Of each, (annotations, 4).
    """
    keys = owners.astype(float)
    for values in boxes.T:
        keys = keys * _SPREAD + values
    order = np.argsort(keys)
    alike = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    found, masks = [], defaultdict(list)
    for place in np.union1d(order[alike], order[alike + 1]).tolist():
        one = annotations[place]
        known = masks[(one['image_id'], one['category_id'], *one['bbox'])]
        if one.get('segmentation') in known:
            found.append(place)
        else:
            known.append(one.get('segmentation'))
    return found
