"""Digits scenes as the folder of a user who labelled the pictures with a usual tool.

A layout is a function ``(scenes, folder)``: it moves the pictures of the digits scenes in `scenes`
(see :func:`make_digits_scenes`) to `folder`, which it makes, and writes the annotations there.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .folders import SPLITS, read_json


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Outline a mask along the edges of its pixels, so that it can be filled again exactly.

    Args:
        mask: (H, W), bool.

    Returns:
        A closed polygon for each part of the mask, (N, 2): x and y in pixels from the upper left
        corner of the image, the first point not repeated. A line to a hole and back joins it to
        the outer edge, because the formats know no holes.
    """
    import shapely  # here, because only making the data needs it
    from shapely.geometry.polygon import orient

    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    top, left = np.nonzero(steps == 1)  # the runs of pixels of each row
    right = np.nonzero(steps == -1)[1]
    parts = shapely.get_parts(shapely.union_all(shapely.box(left, top, right, top + 1)))
    return [
        join(np.array(ring.coords[:-1]) for ring in (part.exterior, *part.interiors))
        for part in map(orient, shapely.simplify(parts, 0))
    ]


def join(rings: Iterable[np.ndarray]) -> np.ndarray:
    """One closed polygon (N, 2) out of several: a line leads to each and back the same way."""
    path, *others = rings
    for ring in others:
        distances = np.abs(path[:, None] - ring[None]).sum(axis=-1)
        i, j = np.unravel_index(distances.argmin(), distances.shape)
        path = np.concatenate([path[: i + 1], ring[j:], ring[: j + 1], path[i:]])
    return path


def _mask(annotation: dict[str, Any]) -> np.ndarray:
    from pycocotools import mask as coco_mask  # here, because only making the data needs it

    return coco_mask.decode(annotation['segmentation']).astype(bool)


def _images(scenes: Path, split: str) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each image of a split with its annotations."""
    content = read_json(scenes / 'annotations' / f'instances_{split}.json')
    by_image = itertools.groupby(content['annotations'], key=lambda one: one['image_id'])
    annotations = {image_id: list(group) for image_id, group in by_image}
    for image in content['images']:
        yield image, annotations.get(image['id'], [])


def _classes(scenes: Path) -> list[str]:
    """The names of the classes; category ids are 1, 2, ... in this order."""
    content = read_json(scenes / 'annotations' / f'instances_{SPLITS[0]}.json')
    return [one['name'] for one in content['categories']]


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def _coco(scenes: Path, folder: Path) -> None:
    """``annotations/instances_SPLIT.json`` with run lengths, ``SPLIT/*.png``."""
    for name in ('annotations', *SPLITS):
        _move(scenes / name, folder / name)


def _coco_folders(scenes: Path, folder: Path) -> None:
    """``{train,valid}/_annotations.coco.json`` with polygons, the pictures beside it: Roboflow's.

    As there, category 0 names what the others have in common.
    """
    for split in SPLITS:
        content = read_json(scenes / 'annotations' / f'instances_{split}.json')
        above = content['categories'][0]['supercategory']
        content['categories'].insert(0, dict(id=0, name=above, supercategory='none'))
        for one in content['annotations']:
            one['segmentation'] = [part.ravel().tolist() for part in outlines(_mask(one))]
        place = folder / ('valid' if split == 'val' else split)
        _move(scenes / split, place)
        (place / '_annotations.coco.json').write_text(json.dumps(content), encoding='utf-8')


def _yolo(scenes: Path, folder: Path, polygons: bool = False) -> None:
    """``data.yaml``, ``images/SPLIT/*.png``, ``labels/SPLIT/*.txt``: Ultralytics, boxes."""
    for split in SPLITS:
        for image, annotations in _images(scenes, split):
            size = np.array([image['width'], image['height']])
            lines = []
            for one in annotations:
                box = np.array(one['bbox']).reshape(2, 2)
                points = join(outlines(_mask(one))) if polygons else [box[0] + box[1] / 2, box[1]]
                numbers = ' '.join(f'{number:.6f}' for number in np.ravel(points / size))
                lines.append(f'{one["category_id"] - 1} {numbers}')
            name = Path(image['file_name'])
            _move(scenes / split / name, folder / 'images' / split / name)
            _lines(folder / 'labels' / split / name.with_suffix('.txt'), lines)
    names = _classes(scenes)
    places = [f'{split}: images/{split}' for split in SPLITS]
    _lines(folder / 'data.yaml', ['path: .', *places, f'nc: {len(names)}', f'names: {names}'])


def _yolo_polygons(scenes: Path, folder: Path) -> None:
    """The same with the outlines of the objects, one polygon each."""
    _yolo(scenes, folder, polygons=True)


def _voc(scenes: Path, folder: Path) -> None:
    """``JPEGImages``, ``Annotations/*.xml``, ``ImageSets/Main/SPLIT.txt``: Pascal VOC, boxes."""
    names = _classes(scenes)
    (folder / 'Annotations').mkdir(parents=True)
    for split in SPLITS:
        stems = []
        for image, annotations in _images(scenes, split):
            name = Path(f'{split}_{image["file_name"]}')  # all pictures lie in one folder
            root = ElementTree.Element('annotation')
            _element(root, folder='JPEGImages', filename=name)
            size = ElementTree.SubElement(root, 'size')
            _element(size, width=image['width'], height=image['height'], depth=3)
            for one in annotations:
                node = ElementTree.SubElement(root, 'object')
                _element(node, name=names[one['category_id'] - 1], difficult=0)
                x, y, width, height = map(round, one['bbox'])
                # the numbers of the first and of the last pixel, counted from 1
                box = dict(xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height)
                _element(ElementTree.SubElement(node, 'bndbox'), **box)
            ElementTree.indent(root)
            path = folder / 'Annotations' / name.with_suffix('.xml')
            path.write_text(ElementTree.tostring(root, encoding='unicode') + '\n')
            _move(scenes / split / image['file_name'], folder / 'JPEGImages' / name)
            stems.append(name.stem)
        _lines(folder / 'ImageSets' / 'Main' / f'{split}.txt', stems)


def _element(parent: ElementTree.Element, **texts: Any) -> None:
    """Add an element for each text."""
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _labelme(scenes: Path, folder: Path) -> None:
    """``SPLIT/*.json`` beside ``SPLIT/*.png``; the parts of an object share a group id."""
    names = _classes(scenes)
    for split in SPLITS:
        for image, annotations in _images(scenes, split):
            shapes = [
                dict(
                    label=names[one['category_id'] - 1],
                    points=part.tolist(),
                    group_id=number if len(parts) > 1 else None,
                    shape_type='polygon',
                    flags={},
                )
                for number, one in enumerate(annotations)
                for parts in [outlines(_mask(one))]
                for part in parts
            ]
            name = Path(image['file_name'])
            _move(scenes / split / name, folder / split / name)
            content = dict(
                version='5.5.0',
                flags={},
                shapes=shapes,
                imagePath=name.name,
                imageData=None,
                imageHeight=image['height'],
                imageWidth=image['width'],
            )
            (folder / split / name.with_suffix('.json')).write_text(
                json.dumps(content), encoding='utf-8'
            )


def _label_images(scenes: Path, folder: Path) -> None:
    """``images/SPLIT/*.png``, ``annotations/SPLIT/*.png`` of class indices, ``classes.txt``."""
    for split in SPLITS:
        _move(scenes / split, folder / 'images' / split)
        _move(scenes / 'semantic' / split, folder / 'annotations' / split)
    _lines(folder / 'classes.txt', ['background', *_classes(scenes)])


def _masks(scenes: Path, folder: Path) -> None:
    """``images/SPLIT/*.png``, ``masks/SPLIT/*.png``: 255 where there is a digit, 0 elsewhere."""
    import cv2

    for split in SPLITS:
        masks = folder / 'masks' / split
        masks.mkdir(parents=True)
        for path in sorted((scenes / 'semantic' / split).iterdir()):
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            encoded = cv2.imencode('.png', np.where(labels, 255, 0).astype(np.uint8))[1]
            (masks / path.name).write_bytes(encoded.tobytes())
        _move(scenes / split, folder / 'images' / split)


LAYOUTS: dict[str, Callable[[Path, Path], None]] = dict(
    coco=_coco,
    coco_folders=_coco_folders,
    yolo=_yolo,
    yolo_polygons=_yolo_polygons,
    voc=_voc,
    labelme=_labelme,
    label_images=_label_images,
    masks=_masks,
)
