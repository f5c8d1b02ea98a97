"""Objects with masks drawn as label images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..exif import orientation_of
from .class_table import IGNORED
from .data import ObjectData
from .label_files import write_label, write_once
from .label_images import Pair

BACKGROUND = 'background'


@dataclass(slots=True)
class Drawing:
    """A label image to draw.

    Attributes:
        target: The PNG file to write.
        picture: The file whose EXIF tag turns the labels, or None.
        width: In pixels, before that.
        height: In pixels, before that.
        objects: Label and mask (polygons or run lengths) of each.
    """

    target: Path
    picture: Path | None
    width: int
    height: int
    objects: list[tuple[int, Any]]


def rasterize(data: ObjectData, folder: Path) -> tuple[tuple[str, ...], dict[str, list[Pair]]]:
    """Write a label image for each image: 0 is the background, the classes follow.

    Where objects overlap, the smallest is on top. COCO's crowds are ignored (255), unless an object
    lies there, too.

    Args:
        data: With masks.
        folder: For the PNG files, ``folder/train/a/b.png`` for an image called ``a/b.jpg``.

    Returns:
        The names of the labels, and the pairs of each split.

    Raises:
        ValueError: there are no masks, or too many classes.
    """
    if not data.with_masks:
        raise ValueError(
            f"{data.format} data in '{data.root}' has boxes without masks: segmentation needs masks"
        )
    others = [name for name in data.classes if name.lower() != BACKGROUND]
    names = (BACKGROUND, *others)
    if len(names) > IGNORED:
        raise ValueError(f'{len(names)} classes with the background: at most {IGNORED} can be')
    ids = {
        number: 1 + others.index(name) if name in others else 0
        for number, name in enumerate(data.classes, 1)
    }
    jobs, splits = [], {}
    for split, content in data.splits.items():
        drawings = {}
        for image, name in zip(content['images'], _names(content['images']), strict=True):
            picture = Path(data.root, image['file_name'])
            target = folder / split / f'{name}.png'
            turned_by = picture if data.ignore_orientation else None
            drawing = Drawing(target, turned_by, image['width'], image['height'], [])
            drawings[image['id']] = Pair(picture, target, name), drawing
        for one in content['annotations']:
            label = IGNORED if one['iscrowd'] else ids[one['category_id']]
            drawings[one['image_id']][1].objects.append((label, one['segmentation']))
        splits[split] = [pair for pair, _ in drawings.values()]
        jobs += [drawing for _, drawing in drawings.values()]
    write_once(folder, jobs, _draw, [job.picture for job in jobs if job.picture])
    return names, splits


def _names(images: Sequence[dict[str, Any]]) -> list[str]:
    """The images' file names without suffix, if that tells them apart; none leads upwards."""
    whole = [Path(image['file_name']) for image in images]
    whole = [
        Path(*(part for part in path.parts if part not in ('..', path.anchor))) for path in whole
    ]
    short = Counter(path.with_suffix('') for path in whole)
    return [
        (path if short[path.with_suffix('')] > 1 else path.with_suffix('')).as_posix()
        for path in whole
    ]


def _draw(one: Drawing) -> None:
    from pycocotools import mask as coco_mask  # here, because only rasterizing needs it

    found = []
    for label, mask in one.objects:
        if isinstance(mask, list) or isinstance(mask['counts'], list):
            mask = coco_mask.frPyObjects(mask, one.height, one.width)
        rle = coco_mask.merge(mask) if isinstance(mask, list) else mask
        found.append((label != IGNORED, -int(coco_mask.area(rle)), label, rle))
    labels = np.zeros((one.height, one.width), np.uint8)
    for _, _, label, rle in sorted(found, key=lambda item: item[:2]):
        labels[coco_mask.decode(rle).astype(bool)] = label
    turn = 1
    if one.picture:
        with Image.open(one.picture) as image:
            turn = orientation_of(image)
    write_label(one.target, labels, turn)
