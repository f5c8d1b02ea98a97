"""Whatever is wrong with classification data ends tools/train.py with one line, before it starts."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmoverlock.checks.datasets import coco_categories

from .. import fake_data
from ..user import CLASSIFIER, ROOT, check

IDS = fake_data.wnids(4)
DATASETS = ROOT / 'configs/_base_/datasets'

CUSTOM = """
num_classes = 4
data_root = 'data'
_loader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
_data = dict(type='CustomDataset', data_root=data_root, pipeline=[dict(type='PackInputs')])
train_dataloader = dict(dataset=dict(data_prefix='train', **_data), **_loader)
val_dataloader = dict(dataset=dict(data_prefix='val', **_data), **_loader)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy')
test_evaluator = val_evaluator
"""

TRAIN, VAL = 'train_dataloader.dataset', 'val_dataloader.dataset'
FOUR = ['num_classes=4']
LISTS = [f'{TRAIN}.class_list=list.txt', f'{VAL}.class_list=list.txt', *FOUR]
ANNOTATED = ['train_dataloader.dataset.ann_file=train.txt']


def folder(home: Path) -> Path:
    """An ImageNet folder of four classes, and a class list that fits."""
    (home / 'list.txt').write_text('\n'.join(reversed(IDS)))
    return fake_data.imagenet(home / 'data', IDS, images=2)


def packaging(home: Path) -> Path:
    return fake_data.imagenet100(home / 'data', classes=4)


def tiny(home: Path) -> Path:
    return fake_data.tiny_imagenet(home / 'data', classes=4)


def imagenet(home: Path) -> Path:
    return fake_data.imagenet(home / 'data', IDS, meta=True)


def custom(home: Path) -> Path:
    fake_data.imagenet(home / 'data', IDS)
    (home / 'base.py').write_text(CUSTOM)
    lines = [f'{one}/{one}_0.JPEG {i}\n' for i, one in enumerate(IDS)]
    (home / 'data/train.txt').write_text(''.join(lines))
    return home / 'data'


def cifar(home: Path) -> Path:
    return home / 'data'  # made where the MD5 sums can be patched


LAYOUTS = {
    folder: 'imagenet100.py',
    packaging: 'imagenet100.py',
    tiny: 'tiny_imagenet.py',
    imagenet: 'imagenet_bs256.py',
    cifar: 'cifar10.py',
    custom: None,
}


def write(name: str, content: str | bytes):
    """A case's deed: replace a file by this content."""

    def deed(home: Path) -> None:
        (home / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return deed


def append(name: str, text: str):
    return lambda home: (home / name).open('a').write(text)


def remove(name: str):
    def deed(home: Path) -> None:
        path = home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return deed


def empty(name: str):
    return lambda home: [path.unlink() for path in (home / name).iterdir()]


def halve(name: str):
    return lambda home: write(name, (home / name).read_bytes()[:1000])(home)


def nothing(home: Path) -> None:
    pass


CASES = [
    # a folder of classes and a list of them
    (folder, nothing, ['data_root=no'], f"{TRAIN}.data_root: 'no' does not exist"),
    (folder, remove('data/val'), LISTS, "'data' has neither val/ nor val.X*/ with folders"),
    (folder, empty('data/train/n00000002'), LISTS, "1 of 4 class folders hold no image (.jpg .jpeg .png .ppm .bmp .pgm .tif): 'data/train/n00000002'"),
    (folder, append('list.txt', '\nn00000009'), LISTS, "1 of the 5 classes of list.txt are no folder of 'data/train', such as 'n00000009'; there are 'n00000001', 'n00000002'"),
    (folder, nothing, FOUR, "100 of the 100 classes of the class list are no folder of 'data/train'"),
    (folder, append('list.txt', '\nn00000001'), LISTS, "class list 'list.txt' names 'n00000001' twice"),
    (folder, write('list.txt', '# none\n'), LISTS, "class list 'list.txt' is empty"),
    (folder, write('list.txt', b'\xff\xd8\xff'), LISTS, "class list 'list.txt' is not a text file"),
    (folder, remove('list.txt'), LISTS, "class list 'list.txt' does not exist"),
    (folder, nothing, [f'{TRAIN}.split=test'], "split='test' is none of 'train', 'val'"),
    (folder, nothing, LISTS[:2], f'model.data_preprocessor.num_classes is 100, but {TRAIN} has 4 classes'),
    # the packaging
    (packaging, write('data/Labels.json', '{'), FOUR, "'data/Labels.json' is not JSON"),
    (packaging, write('data/Labels.json', '[]'), FOUR, "'data/Labels.json' is not a JSON object of class ids and names"),
    (packaging, write('data/Labels.json', json.dumps({'n00000001': 'one'})), FOUR, "do not stand in Labels.json"),
    (packaging, remove('data/train.X4/n00000004'), FOUR, "1 of the 4 classes of the class list are no folder of 'data/train.X1', 'data/train.X2', 'data/train.X3', 'data/train.X4', such as 'n00000004'"),
    # Tiny-ImageNet
    (tiny, remove('data/wnids.txt'), FOUR, "list of classes 'data/wnids.txt' does not exist"),
    (tiny, nothing, ['num_classes=9'], 'num_classes=9 is not a number from 1 to 4'),
    (tiny, remove('data/train/n00000003'), FOUR, "1 of 4 class folders are absent: 'data/train/n00000003/images'"),
    (tiny, remove('data/val/val_annotations.txt'), FOUR, "annotation file 'data/val/val_annotations.txt' does not exist"),
    (tiny, append('data/val/val_annotations.txt', 'val_9.JPEG n00000001\n'), FOUR, "'val_9.JPEG n00000001' is not 'file<tab>class id<tab>box'"),
    (tiny, append('data/val/val_annotations.txt', 'val_9.JPEG\tn7\n'), FOUR, "class id 'n7' of 'val_9.JPEG' is not in wnids.txt"),
    (tiny, append('data/val/val_annotations.txt', 'val_9.JPEG\tn00000001\n'), FOUR, "are absent: 'data/val/images/val_9.JPEG'"),
    (tiny, append('data/val/val_annotations.txt', 'val_0.JPEG\tn00000001\n'), FOUR, "names 'val_0.JPEG' twice"),
    (tiny, write('data/val/val_annotations.txt', 'val_0.JPEG\tn00000001\n'), FOUR, "names no image of 'n00000002', 'n00000003', 'n00000004'"),
    # mmpretrain's ImageNet
    (imagenet, nothing, [], "The number of subfolders (4) doesn't match the number of specified classes (1000)"),
    (imagenet, nothing, [f'{TRAIN}.split=trian'], "The split must be one of ['train', 'val', 'test'], but get 'trian'"),
    # a user's own folder, with or without an annotation file
    (custom, empty('data/train/n00000002'), [], f"{TRAIN}: 1 of the 4 class folders in 'data/train' hold no image: 'n00000002'"),
    (custom, remove('data/val/n00000002'), [], f'model.head.num_classes is 4, but {VAL} has 3 classes'),
    (custom, lambda home: (home / 'data/val/n00000002').rename(home / 'data/val/other'), [], f"{TRAIN} and {VAL} have different classes: 'n00000002', 'other' only in one of them"),
    (custom, nothing, ['model.head.num_classes=7'], f'model.head.num_classes is 7, but {TRAIN} has 4 classes'),
    (custom, nothing, ['data_preprocessor.num_classes=7'], f'model.data_preprocessor.num_classes is 7, but {TRAIN} has 4 classes'),
    (custom, nothing, ['val_evaluator.topk=(1,5)'], 'val_evaluator.topk is 5, but there are 4 classes'),
    (custom, remove('data/train.txt'), ANNOTATED, f"{TRAIN}.ann_file: 'data/train.txt' does not exist"),
    (custom, append('data/train.txt', 'picture.JPEG\n'), ANNOTATED, "'data/train.txt', line 5: 'picture.JPEG' is not 'name label'"),
    (custom, append('data/train.txt', 'a.JPEG two\n'), ANNOTATED, "line 5: 'a.JPEG two' is not 'name label'"),
    (custom, append('data/train.txt', 'a.JPEG 4\n'), ANNOTATED, f"{TRAIN}: label 4 of 'data/train/a.JPEG' is out of range: 0 to 3 is allowed"),
    (custom, append('data/train.txt', 'a.JPEG -1\n'), ANNOTATED, "label -1 of 'data/train/a.JPEG' is out of range: 0 to 3 is allowed"),
    (custom, append('data/train.txt', 'a.JPEG 3\n'), ANNOTATED, "'data/train/a.JPEG', listed in 'data/train.txt', does not exist"),
    (custom, write('data/train.txt', b'\xff\xfe'), ANNOTATED, f"{TRAIN}.ann_file: 'data/train.txt' is not a text file"),
    (custom, write('data/train.txt', ''), ANNOTATED, f'{TRAIN}: no image is left in the data set'),
    # CIFAR
    (cifar, nothing, ['data_root=data/no'], f"{TRAIN}.data_root: 'data/no' does not exist"),
    (cifar, remove('data/cifar-10-batches-py/data_batch_3'), [], "'data/cifar-10-batches-py/data_batch_3' does not exist, unpack cifar-10-python.tar.gz (https://www.cs.toronto.edu/"),
    (cifar, halve('data/cifar-10-batches-py/test_batch'), [], "'data/cifar-10-batches-py/test_batch' is damaged: its MD5 sum is "),
    (cifar, nothing, [f'{TRAIN}.split=val'], "The split must be one of ['train', 'test'], but get 'val'"),
]  # fmt: skip


@pytest.mark.parametrize(('layout', 'deed', 'options', 'message'), CASES)
def test_bad_data(tmp_path, monkeypatch, tool, capsys, layout, deed, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, 'raiseExceptions', False)  # the logger may hold a closed stdout
    layout(tmp_path)
    if layout is cifar:
        fake_data.cifar(tmp_path / 'data', 10, monkeypatch=monkeypatch)
    deed(tmp_path)
    base = DATASETS / LAYOUTS[layout] if LAYOUTS[layout] else 'base.py'
    (tmp_path / 'config.py').write_text(f"_base_ = '{base}'\n" + CLASSIFIER)
    options = [o for o in ('data_root=data',) if 'data_root' not in ''.join(options)] + options
    arguments = ['config.py', '--work-dir', 'work', '--cfg-options', *options]
    check(tool, 'train', arguments, message, tmp_path, capsys)


def test_fake_pictures_differ(tmp_path):
    """The cases above would prove little on pictures that are all alike."""
    from PIL import Image

    fake_data.imagenet(tmp_path, IDS)
    first, second = (Image.open(tmp_path / f'train/{one}/{one}_0.JPEG') for one in IDS[:2])
    assert not np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize('first', [True, False])
def test_categories_of_a_coco_file(tmp_path, first):
    parts = dict(images=[dict(id=i) for i in range(1000)], categories=[dict(id=1, name='cat')])
    text = json.dumps(dict(sorted(parts.items(), reverse=not first)))
    (tmp_path / 'a.json').write_text(text)
    assert coco_categories(str(tmp_path / 'a.json')) == ['cat']


@pytest.mark.parametrize('text', ['', 'text', '{"images": []}', '{"categories": [{"id": 1}]}'])
def test_no_coco_file(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match='has no list of COCO categories'):
        coco_categories(str(tmp_path / 'a.json'))
