"""The data parts of configs: the recipe's numbers, and samples through every pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

import mmoverlock  # noqa: F401
from mmoverlock.cli.config import load_config

from .. import fake_data

PARTS = Path(__file__).parents[2] / 'configs/_base_/datasets'
SIZES = dict(
    imagenet_bs256=(1000, 224, 256),
    imagenet100=(100, 224, 128),
    tiny_imagenet=(200, 64, 64),
    cifar10=(10, 224, 128),
    cifar100=(100, 32, 128),
    digits=(10, 32, 64),
)


def made(name: str, root: Path, monkeypatch) -> str:
    """Fake data for a part."""
    if name.startswith('cifar'):
        fake_data.cifar(root, int(name[5:]), monkeypatch=monkeypatch)
    elif name == 'tiny_imagenet':
        fake_data.tiny_imagenet(root)
    elif name == 'imagenet100':
        fake_data.imagenet100(root)
    elif name == 'imagenet_bs256':
        fake_data.imagenet(root)
    return str(root)


@pytest.mark.parametrize('name', SIZES)
def test_samples(name, tmp_path, monkeypatch):
    classes, size, batch = SIZES[name]
    options = {} if name == 'digits' else dict(data_root=made(name, tmp_path, monkeypatch))
    cfg = load_config(str(PARTS / f'{name}.py'), options)
    assert cfg.num_classes == cfg.data_preprocessor.num_classes == classes
    assert cfg.train_dataloader.batch_size == cfg.val_dataloader.batch_size == batch
    assert cfg.train_dataloader.sampler.shuffle and not cfg.val_dataloader.sampler.shuffle
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        datasets = [
            DATASETS.build(cfg[f'{s}_dataloader'].dataset) for s in ('train', 'val', 'test')
        ]
    for dataset in datasets:
        assert len(dataset.metainfo['classes']) == classes
        for i in (0, len(dataset) - 1):
            sample = dataset[i]
            assert sample['inputs'].shape == (3, size, size)
            assert 0 <= sample['data_samples'].gt_label.item() < classes


def test_recipe():
    """ImageNet-1K: RandAugment m9-mstd0.5-inc1, random erasing 0.25 in pixel mode, bicubic."""
    cfg = Config.fromfile(PARTS / 'imagenet_bs256.py')
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    augment, erase = steps['RandAugment'], steps['RandomErasing']
    assert (augment.policies, augment.num_policies) == ('timm_increasing', 2)
    assert (augment.magnitude_level, augment.total_level, augment.magnitude_std) == (9, 10, 0.5)
    assert augment.hparams.interpolation == steps['RandomResizedCrop'].interpolation == 'bicubic'
    assert (erase.erase_prob, erase.mode) == (0.25, 'rand')
    assert (erase.fill_color, erase.fill_std) == (
        [103.53, 116.28, 123.675],
        [57.375, 57.12, 58.395],
    )
    _, resize, crop, _ = cfg.test_dataloader.dataset.pipeline
    assert (resize.scale, resize.interpolation) == (int(224 / 0.95), 'bicubic')
    assert crop.crop_size == 224


def test_leaf_sets_the_test_crop(tmp_path):
    (tmp_path / 'leaf.py').write_text(
        f"_base_ = ['{PARTS}/imagenet_bs256.py']\n"
        '_base_.val_dataloader.dataset.pipeline[1].scale = 242\n'
        '_base_.test_dataloader.dataset.pipeline[1].scale = 242\n'
    )
    cfg = Config.fromfile(tmp_path / 'leaf.py')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1].scale == int(224 / 0.925)
        assert loader.dataset.pipeline[2].crop_size == 224


def test_cifar100_holds_out_the_same_tenth(tmp_path, monkeypatch):
    root = made('cifar100', tmp_path, monkeypatch)
    cfg = load_config(str(PARTS / 'cifar100.py'), dict(data_root=root))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        train, val = (DATASETS.build(cfg[f'{s}_dataloader'].dataset) for s in ('train', 'val'))
        again = DATASETS.build(cfg.val_dataloader.dataset)
    indices = [set(one._ori_indices) for one in (train, val, again)]
    assert indices[1] == indices[2] and len(indices[1]) == 2  # of 20
    assert indices[0] | indices[1] == set(range(20)) and not indices[0] & indices[1]


def test_one_option_moves_every_loader():
    cfg = load_config(str(PARTS / 'cifar100.py'), dict(data_root='there', num_classes=7))
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.get('dataset', dataset).data_root == 'there'
    assert cfg.data_preprocessor.num_classes == 7
