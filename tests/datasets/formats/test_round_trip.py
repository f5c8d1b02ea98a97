"""Digits scenes in every layout, read again: the same images, splits, classes, boxes and masks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmoverlock.datasets import DIGITS_SCENES_METAINFO, make_digits_scenes
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.datasets.folders import SPLITS
from mmoverlock.datasets.formats import find_format, read_labels, read_objects

SMALL = dict(num_train=12, num_val=4, image_size=96)
CLASSES = DIGITS_SCENES_METAINFO['classes']
BOXES_ALONE = ('yolo', 'voc')  # formats without masks


@pytest.fixture(scope='module')
def original(tmp_path_factory) -> Path:
    return make_digits_scenes(tmp_path_factory.mktemp('data') / 'original', **SMALL)


@pytest.fixture(scope='module', params=LAYOUTS)
def layout(request) -> str:
    return request.param


@pytest.fixture(scope='module')
def root(layout, tmp_path_factory) -> Path:
    return make_digits_scenes(tmp_path_factory.mktemp(layout) / 'mine', **SMALL, layout=layout)


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


def test_objects(layout, root, original):
    if find_format(root) == 'label_images':
        with pytest.raises(ValueError, match='has no data in a known format'):
            read_objects(root)
        return
    data, truth = read_objects(root), read_objects(original, 'coco')
    assert data.classes == CLASSES
    assert data.with_masks == (layout not in BOXES_ALONE)
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


def test_labels(layout, root, original, tmp_path):
    if layout in BOXES_ALONE:
        with pytest.raises(ValueError, match='mask'):
            read_labels(root, tmp_path)
        return
    data = read_labels(root, tmp_path)
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
