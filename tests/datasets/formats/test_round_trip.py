"""Digits scenes in every layout, read again: the same images, splits, classes, boxes and masks."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmoverlock.datasets import DIGITS_SCENES_METAINFO, make_digits_scenes
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.datasets.folders import SPLITS
from mmoverlock.datasets.formats import (
    ObjectData,
    read_labels,
    read_objects,
    write_coco,
)

SMALL = dict(num_train=12, num_val=8, image_size=96)
CLASSES = DIGITS_SCENES_METAINFO['classes']
BOXES = ('yolo', 'voc')  # without masks
LABELS = ('label_images', 'masks')
OBJECTS = [layout for layout in LAYOUTS if layout not in LABELS]


@pytest.fixture(scope='module')
def make(tmp_path_factory) -> Callable[[str | None], Path]:
    """The digits scenes in a layout, written when first asked for."""
    folder = tmp_path_factory.mktemp('data')
    return functools.cache(
        lambda layout: make_digits_scenes(folder / str(layout), **SMALL, layout=layout)
    )


@pytest.fixture(scope='module')
def original(make) -> Path:
    return make(None)


def objects_by_image(root: Path, content: dict[str, Any]) -> dict[bytes, list[dict[str, Any]]]:
    """The annotations of each image, which its bytes name: its file name may be another."""
    keys = {one['id']: (root / one['file_name']).read_bytes() for one in content['images']}
    found = {key: [] for key in keys.values()}
    for one in content['annotations']:
        found[keys[one['image_id']]].append(one)
    assert len(found) == len(content['images'])
    return found


def decode(annotation: dict[str, Any], image: bytes) -> np.ndarray:
    """An annotation's mask (H, W), bool."""
    shape = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    mask = annotation['segmentation']
    if isinstance(mask, list):
        mask = coco_mask.merge(coco_mask.frPyObjects(mask, *shape))
    return coco_mask.decode(mask).astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize('layout', OBJECTS)
def test_objects(layout, make, original):
    data, truth = read_objects(make(layout)), read_objects(original, 'coco')
    assert data.classes == CLASSES
    assert data.with_masks == (layout not in BOXES)
    assert [*data.splits] == [*SPLITS]
    for split in SPLITS:
        found = objects_by_image(data.root, data.splits[split])
        expected = objects_by_image(truth.root, truth.splits[split])
        assert found.keys() == expected.keys()
        for image, annotations in expected.items():
            for one, other in zip(found[image], annotations, strict=True):
                assert one['category_id'] == other['category_id']
                np.testing.assert_allclose(one['bbox'], other['bbox'], atol=0.01)
                assert not one['iscrowd']
                if data.with_masks:
                    assert iou(decode(one, image), decode(other, image)) >= 0.95
                    assert one['area'] == pytest.approx(other['area'], rel=0.01)


@pytest.fixture(scope='module')
def detections(original) -> dict[bytes, list[dict[str, Any]]]:
    """What a poor detector finds in each validation image: the objects, up to 3 pixels off."""
    rng = np.random.default_rng(0)
    truth = read_objects(original, 'coco')
    found = objects_by_image(truth.root, truth.splits['val'])
    for image, annotations in found.items():
        for i, one in enumerate(annotations):
            mask = np.roll(decode(one, image), rng.integers(-3, 4, size=2), axis=(0, 1))
            rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            annotations[i] = dict(
                category_id=one['category_id'],
                bbox=coco_mask.toBbox(rle).tolist(),
                segmentation=rle,
                score=rng.random(),
            )
    return found


def average_precision(
    data: ObjectData, detections: dict[bytes, list[dict[str, Any]]], kind: str, folder: Path
) -> float:
    coco = COCO(str(write_coco(data, folder)['val']))
    results = [
        dict(one, image_id=image['id'])
        for image in coco.dataset['images']
        for one in detections[(data.root / image['file_name']).read_bytes()]
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


@pytest.mark.parametrize('layout', OBJECTS)
def test_average_precision(layout, make, original, detections, tmp_path):
    data, truth = read_objects(make(layout)), read_objects(original, 'coco')
    for kind in ('bbox', 'segm') if data.with_masks else ('bbox',):
        expected = average_precision(truth, detections, kind, tmp_path / 'original')
        assert 0.1 < expected < 0.9
        found = average_precision(data, detections, kind, tmp_path / 'mine')
        assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_labels(layout, make, original, tmp_path):
    if layout in BOXES:
        with pytest.raises(ValueError, match='mask'):
            read_labels(make(layout), tmp_path)
        return
    data = read_labels(make(layout), tmp_path)
    digit_or_not = layout == 'masks'
    if not digit_or_not:
        assert data.classes == ('background', *CLASSES)
    assert len(data.classes) == len(data.palette) == (2 if digit_or_not else 11)
    assert [*data.splits] == [*SPLITS]
    for split in SPLITS:
        expected = {
            path.read_bytes(): cv2.imread(str(original / 'semantic' / split / path.name), -1)
            for path in (original / split).iterdir()
        }
        found = {image.read_bytes(): path for image, path in data.splits[split]}
        assert found.keys() == expected.keys()
        for image, path in found.items():
            labels, truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected[image]
            np.testing.assert_array_equal(labels, truth > 0 if digit_or_not else truth)
