"""Objects with masks become label images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmoverlock.datasets import make_digits_scenes
from mmoverlock.datasets.formats import ObjectData, read_labels
from mmoverlock.datasets.formats.rasterize import rasterize


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    return make_digits_scenes(tmp_path_factory.mktemp('digits') / 'data', 4, 3, 64)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_equals_the_semantic_maps(scenes, tmp_path):
    data = read_labels(scenes, tmp_path, 'coco')
    assert data.classes == ('background', *'0123456789') and data.format == 'COCO'
    for split, number in (('train', 4), ('val', 3)):
        assert len(data.splits[split]) == number
        for picture, label in data.splits[split]:
            assert picture == scenes / split / picture.name
            assert label.is_relative_to(tmp_path)
            found, expected = load(label), load(scenes / 'semantic' / split / picture.name)
            assert found.dtype == np.uint8 and expected.max() > 0
            np.testing.assert_array_equal(found, expected)


def test_found_if_it_is_the_only_format(scenes, tmp_path):
    root = shutil.copytree(scenes, tmp_path / 'data')
    with pytest.raises(ValueError, match='data in 2 formats'):
        read_labels(root, tmp_path / 'work')
    shutil.rmtree(root / 'semantic')
    data = read_labels(root, tmp_path / 'work')
    assert data.format == 'COCO'
    labels = data.splits['val'][0][1]
    before = labels.read_bytes(), labels.stat().st_mtime_ns
    read_labels(root, tmp_path / 'work')
    assert before == (labels.read_bytes(), labels.stat().st_mtime_ns)  # not written again
    path = root / 'annotations' / 'instances_val.json'
    content = json.loads(path.read_text())
    first = content['annotations'][0]
    content['annotations'] = [one for one in content['annotations'] if one is not first]
    path.write_text(json.dumps(content))
    data = read_labels(root, tmp_path / 'work')
    assert data.splits['val'][0][1] == labels and labels.read_bytes() != before[0]


def test_broken_pictures_are_found(scenes, tmp_path):
    root = shutil.copytree(scenes, tmp_path / 'data')
    shutil.rmtree(root / 'semantic')
    path = root / 'val' / '000001.png'
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="val/000001.png': it is (cut short|damaged)"):
        read_labels(root, tmp_path / 'work')


def square(x: int, y: int, side: int) -> list[list[float]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def objects(tmp_path, *annotations: dict, classes=('cat', 'dog'), **options) -> ObjectData:
    image = dict(id=7, file_name='a/../b c.jpg', width=12, height=10)
    found = [dict(image_id=7, iscrowd=0, area=1.0) | one for one in annotations]
    content = dict(images=[image], annotations=found)
    return ObjectData(
        tmp_path, 'COCO', classes, dict(train=content), **{'with_masks': True} | options
    )


def drawn(data: ObjectData, folder: Path) -> np.ndarray:
    _, splits = rasterize(data, folder)
    (pair,) = splits['train']
    assert pair.label == folder / 'train' / 'a' / 'b c.png'
    return load(pair.label)


def test_smaller_objects_are_on_top_and_crowds_below(tmp_path):
    run_lengths = dict(size=[10, 12], counts=[100, 20])  # the last two columns
    data = objects(
        tmp_path,
        dict(category_id=2, segmentation=square(2, 2, 3)),
        dict(category_id=1, segmentation=square(0, 0, 8)),
        dict(category_id=1, segmentation=run_lengths, iscrowd=1),
        dict(category_id=2, segmentation=square(9, 0, 2)),
        dict(category_id=1, segmentation=[*square(0, 9, 1), *square(2, 9, 1)]),
    )
    expected = np.zeros((10, 12), np.uint8)
    expected[:, 10:] = 255
    expected[:8, :8] = 1
    expected[2:5, 2:5] = 2
    expected[:2, 9:11] = 2
    expected[9, [0, 2]] = 1
    np.testing.assert_array_equal(drawn(data, tmp_path), expected)


def test_a_class_called_background_is_the_background(tmp_path):
    one = dict(category_id=3, segmentation=square(0, 0, 4))
    data = objects(tmp_path, one, classes=('cat', 'Background', 'dog'))
    assert rasterize(data, tmp_path)[0] == ('background', 'cat', 'dog')
    assert drawn(data, tmp_path)[0, 0] == 2


def test_annotations_for_pictures_as_stored_are_turned(tmp_path):
    (tmp_path / 'a').mkdir()
    picture = Image.new('RGB', (12, 10))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / 'b c.jpg', exif=exif)
    one = dict(category_id=1, segmentation=square(0, 0, 4))
    data = objects(tmp_path, one, ignore_orientation=True)
    expected = np.zeros((12, 10), np.uint8)
    expected[:4, 6:] = 1
    np.testing.assert_array_equal(drawn(data, tmp_path), expected)


def test_names_that_differ_by_their_suffix_alone(tmp_path):
    data = objects(tmp_path, dict(category_id=1, segmentation=square(0, 0, 4)))
    other = dict(data.splits['train']['images'][0], id=8, file_name='a/../b c.png')
    data.splits['train']['images'].append(other)
    _, splits = rasterize(data, tmp_path)
    assert [pair.label.name for pair in splits['train']] == ['b c.jpg.png', 'b c.png.png']
    assert [load(pair.label).max() for pair in splits['train']] == [1, 0]


def test_boxes_alone_and_too_many_classes(tmp_path):
    with pytest.raises(ValueError, match='COCO data in .* has boxes without masks'):
        rasterize(objects(tmp_path, with_masks=False), tmp_path)
    with pytest.raises(ValueError, match='256 classes with the background: at most 255'):
        rasterize(objects(tmp_path, classes=tuple(map(str, range(255)))), tmp_path)
