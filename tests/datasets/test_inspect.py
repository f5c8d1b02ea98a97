"""The report on a user's own data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmoverlock.datasets.formats.data import LabelData, ObjectData
from mmoverlock.datasets.inspect import (
    inspect_classes,
    inspect_labels,
    inspect_objects,
    spread,
    table,
)


def picture(path: Path, seed: int, size=(40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def split(root: Path, name: str, objects: list[list[int]], first: int = 0) -> dict:
    """A picture for each list of labels, with boxes of three sizes in turn."""
    images, annotations = [], []
    for number, labels in enumerate(objects, first):
        picture(root / name / f'{number}.png', number)
        images.append(dict(id=number, file_name=f'{name}/{number}.png', width=40, height=30))
        for label in labels:
            side = (10, 32, 96)[len(annotations) % 3]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=label + 1,
                    bbox=[0, 0, side, side],
                    area=side**2,
                    iscrowd=0,
                )
            )
    return dict(images=images, annotations=annotations)


def test_objects(tmp_path):
    splits = dict(
        train=split(tmp_path, 'train', [[0, 0, 1], [0], [], [0] * 8]),
        val=split(tmp_path, 'val', [[1], [1, 1]], 10),
    )
    splits['train']['annotations'][-1]['iscrowd'] = 1
    data = ObjectData(tmp_path, 'YOLO', ('cat', 'dog'), splits, notes=['a note: 1 (first: b)'])
    found = inspect_objects(data)
    assert found.lines[0] == (
        f'{tmp_path}: YOLO, boxes without masks, images: 4 train, 2 val, 2 classes'
    )
    cells = {line.split()[0]: line.split()[1:] for line in found.lines if line}
    assert cells['cat'] == ['10', '3', '0', '0', '#' * 24]
    assert cells['dog'][:4] == ['1', '1', '3', '2']
    assert cells['all'] == ['11', '4', '3', '2']
    text = '\n'.join(found.lines)
    assert 'small 5 (36%), medium 5 (36%), large 4 (29%)' in text
    assert 'width         40 pixels\nheight        30 pixels' in text
    assert 'per image     0 to 7, median 1.5 objects' in text
    assert 'without any   images: 1 train' in text
    assert found.notes == [
        'a note: 1 (first: b)',
        'train: 1 objects are crowds, which training ignores',
        "1 classes have fewer than 10 objects for training: 'dog' 1",
    ]
    assert found.problems == []


def test_broken_and_repeated_pictures(tmp_path):
    splits = dict(train=split(tmp_path, 'train', [[0]] * 3), val=split(tmp_path, 'val', [[0]] * 2))
    whole = (tmp_path / 'train/2.png').read_bytes()
    (tmp_path / 'train/2.png').write_bytes(whole[:-200])
    found = inspect_objects(ObjectData(tmp_path, 'COCO', ('cat',), splits))
    assert found.problems == ["'train/2.png': it is cut short"]
    assert found.notes[0] == (
        '2 images are in more than one split, which makes the scores too good: '
        "'train/0.png' = 'val/0.png'; 'train/1.png' = 'val/1.png'"
    )
    (tmp_path / 'val/0.png').write_bytes(b'')
    (tmp_path / 'val/1.png').write_bytes(whole)
    (tmp_path / 'train/1.png').write_bytes((tmp_path / 'train/0.png').read_bytes())
    found = inspect_objects(ObjectData(tmp_path, 'COCO', ('cat',), splits))
    assert found.problems[1:] == ["'val/0.png': it is empty (0 bytes)"]
    assert found.notes[0] == (
        "1 images are there more than once, with the same bytes: 'train/0.png' = 'train/1.png'"
    )


def labels(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def test_labels(tmp_path):
    half = np.zeros((30, 40))
    half[:15] = 1
    half[:, :10] = 255
    pairs = [
        (picture(tmp_path / 'a.png', 0), labels(tmp_path / 'l/a.png', half)),
        (picture(tmp_path / 'b.png', 1), labels(tmp_path / 'l/b.png', np.zeros((30, 40)))),
    ]
    data = LabelData(
        tmp_path, 'label images', ('sky', 'sea'), ((0, 0, 0),) * 2, dict(train=pairs, val=pairs[:1])
    )
    found = inspect_labels(data)
    assert found.lines[0] == f'{tmp_path}: label images, images: 2 train, 1 val, 2 classes'
    cells = {line.split()[0]: line.split()[1:] for line in found.lines if line}
    assert cells['sky'][:4] == ['68.8%', '2', '37.5%', '1']
    assert cells['sea'][:4] == ['18.8%', '1', '37.5%', '1']
    assert cells['all'] == ['87.5%', '2', '75.0%', '1']
    assert found.problems == []
    assert found.notes[-1] == ("2 classes have fewer than 10 images for training: 'sky' 2, 'sea' 1")


@pytest.mark.parametrize('divided', [False, True])
def test_classes(tmp_path, divided):
    for number in range(12):
        part = ('train/' if number < 9 else 'val/') if divided else ''
        picture(tmp_path / f'{part}cat/{number}.png', number)
        picture(tmp_path / f'{part}dog/{number}.png', 20 + number)
    found = inspect_classes(tmp_path)
    train, val = (9, 3) if divided else (10, 2)
    assert found.lines[0] == (
        f'{tmp_path}: class folders, images: {2 * train} train, {2 * val} val, 2 classes'
    )
    cells = {line.split()[0]: line.split()[1:] for line in found.lines if line}
    assert cells['cat'][:2] == cells['dog'][:2] == [str(train), str(val)]
    assert bool(found.notes) == divided  # nine are few


def test_table_of_many_classes_and_long_names():
    names = [f'a very long name of a class, number {index}' for index in range(150)]
    lines = table(names, {('train', 'objects'): range(150)}, {('train', 'objects'): 7})
    assert len(lines) == 2 + 100 + 2
    assert lines[-2] == '... and 50 more'
    assert max(map(len, lines)) < 80


def test_spread():
    assert spread([3, 1, 8]) == '1 to 8, median 3'
    assert spread([5, 5]) == '5'
