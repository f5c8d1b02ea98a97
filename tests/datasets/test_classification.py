"""Digits, ImageNet-100 and Tiny-ImageNet in their layouts on disk; ImageNet and CIFAR beside them."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

import mmoverlock  # noqa: F401
from mmoverlock.datasets import Digits, ImageNet100, TinyImageNet
from mmoverlock.datasets.imagenet100 import STANDARD_LIST

from .. import fake_data
from ..fake_data import STANDARD_IDS, wnids

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=8), dict(type='PackInputs')]


def labels_of(dataset) -> dict[str, int]:
    """Class id -> label, read off the paths; every path has one label."""
    labels = {}
    for info in dataset.data_list or map(dataset.get_data_info, range(len(dataset))):
        (class_id,) = (part for part in info['img_path'].split('/') if part[1:].isdecimal())
        assert labels.setdefault(class_id, info['gt_label']) == info['gt_label']
    return labels


def test_digits():
    train, val = Digits(split='train'), Digits(split='val')
    assert (len(train), len(val)) == (1437, 360)
    scans = [np.stack([one[i]['img'] for i in range(len(one))]) for one in (train, val)]
    assert scans[0].shape == (1437, 8, 8, 3) and scans[0].dtype == np.uint8
    assert scans[0].max() == 255 and (scans[0][..., :1] == scans[0]).all()
    shares = np.bincount(val.get_gt_labels()) / np.bincount(train.get_gt_labels())
    assert np.abs(shares - 0.25).max() < 0.01
    assert train.metainfo['classes'] == tuple('0123456789')

    from sklearn.datasets import load_digits

    def rows(pictures):
        return sorted(map(bytes, pictures.reshape(len(pictures), -1)))

    every = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    ours = np.concatenate(scans)[..., 0]
    assert rows(ours) == rows(every)  # none lost, none twice
    again = Digits(split='val')
    assert all((again[i]['img'] == val[i]['img']).all() for i in range(len(val)))


def test_digits_in_a_pipeline():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = [dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
        sample = DATASETS.build(dict(type='Digits', split='val', pipeline=pipeline))[0]
    assert sample['inputs'].shape == (3, 32, 32)
    assert sample['data_samples'].gt_label.item() in range(10)


def test_standard_list():
    ids = STANDARD_LIST.read_text().split()
    assert len(set(ids)) == 100 and all(len(one) == 9 and one[0] == 'n' for one in ids)


def test_imagenet100_out_of_imagenet(tmp_path):
    fake_data.imagenet(tmp_path, [*STANDARD_IDS, 'n00000001'])  # one class more
    train, val = (ImageNet100(tmp_path, split=split) for split in ('train', 'val'))
    assert labels_of(train) == labels_of(val)
    assert labels_of(train) == {one: i for i, one in enumerate(sorted(STANDARD_IDS))}
    assert train.metainfo['class_ids'] == tuple(sorted(STANDARD_IDS))
    names = dict(zip(train.metainfo['class_ids'], train.metainfo['classes'], strict=True))
    assert names['n02869837'] == 'bonnet, poke bonnet'


def test_imagenet100_with_a_list_of_its_own(tmp_path):
    fake_data.imagenet(tmp_path, wnids(5), images=2)
    (tmp_path / 'list.txt').write_text('# mine\nn00000004 a name\n\nn00000002\n')
    dataset = ImageNet100(tmp_path, class_list=str(tmp_path / 'list.txt'))
    assert labels_of(dataset) == {'n00000002': 0, 'n00000004': 1}
    assert len(dataset) == 4
    assert labels_of(ImageNet100(tmp_path, class_list=['n00000004', 'n00000002'])) == labels_of(
        dataset
    )
    assert dataset.metainfo['classes'] == ('n00000002', 'n00000004')  # nameless


def test_imagenet100_with_an_annotation_file(tmp_path):
    """ImageNet's validation images in one folder, labelled 0 to 999 by meta/val.txt."""
    fake_data.imagenet(tmp_path, STANDARD_IDS[:1])
    (tmp_path / 'val').rename(tmp_path / 'gone')
    names = [f'{i}.JPEG' for i in range(1000)]
    for name in names:
        (tmp_path / 'val').mkdir(exist_ok=True)
        (tmp_path / 'val' / name).write_bytes(b'')
    (tmp_path / 'meta').mkdir()
    lines = ''.join(f'{name} {i}\n' for i, name in enumerate(names))
    (tmp_path / 'meta/val.txt').write_text(lines)
    val = ImageNet100(tmp_path, split='val')
    assert list(val.get_gt_labels()) == list(range(100))
    first = int(val.get_data_info(0)['img_path'].rpartition('/')[2].removesuffix('.JPEG'))
    from timm.data import ImageNetInfo

    assert ImageNetInfo().index_to_label_name(first) == min(STANDARD_IDS)


def test_imagenet100_packaging(tmp_path):
    fake_data.imagenet100(tmp_path, classes=10)
    train, val = (ImageNet100(tmp_path, split=split) for split in ('train', 'val'))
    assert labels_of(train) == labels_of(val) == {one: i for i, one in enumerate(wnids(10))}
    assert train.metainfo['classes'][3] == 'thing 3, object 3'
    parts = {train.get_data_info(i)['img_path'].split('/')[-3] for i in range(len(train))}
    assert parts == {'train.X1', 'train.X2', 'train.X3', 'train.X4'}


@pytest.mark.parametrize('number', [None, 3])
def test_tiny_imagenet(tmp_path, number):
    fake_data.tiny_imagenet(tmp_path, classes=6, images=2)
    ids = wnids(number or 6)
    train, val = (TinyImageNet(tmp_path, s, number) for s in ('train', 'val'))
    assert labels_of(train) == {one: i for i, one in enumerate(ids)}
    assert len(val) == len(train) == 2 * len(ids)
    # Image i of the validation set is of class i // 2: see the maker.
    for i in range(len(val)):
        info = val.get_data_info(i)
        assert info['img_path'].endswith(f'val/images/val_{i}.JPEG') and info['gt_label'] == i // 2
    expected = tuple(f'thing {i}, object {i}' for i in range(len(ids)))
    assert train.metainfo['classes'] == val.metainfo['classes'] == expected


def test_tiny_imagenet_keeps_the_first_in_lexical_order(tmp_path):
    fake_data.tiny_imagenet(tmp_path, classes=6)
    assert (tmp_path / 'wnids.txt').read_text().split()[0] == wnids(6)[-1]
    assert TinyImageNet(tmp_path, num_classes=2).metainfo['class_ids'] == tuple(wnids(2))


@pytest.mark.parametrize('meta', [False, True])
def test_imagenet(tmp_path, meta):
    """mmpretrain's own, on the data that tests use."""
    fake_data.imagenet(tmp_path, meta=meta)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        cfg = dict(type='ImageNet', data_root=str(tmp_path), split='val', pipeline=PIPELINE)
        dataset = DATASETS.build(cfg)
    assert list(dataset.get_gt_labels()) == list(range(1000))
    assert dataset[7]['inputs'].shape == (3, 8, 8)


@pytest.mark.parametrize('classes', [10, 100])
def test_cifar(tmp_path, monkeypatch, classes):
    fake_data.cifar(tmp_path, classes, monkeypatch=monkeypatch)
    cfg = dict(type=f'CIFAR{classes}', data_root=str(tmp_path), split='test', download=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg)
    assert dataset[0]['img'].shape == (32, 32, 3) and len(dataset) == 20
