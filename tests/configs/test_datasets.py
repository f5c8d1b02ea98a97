"""The data parts of configs: the recipe's numbers, and samples through every pipeline."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

import mmoverlock  # noqa: F401
from mmoverlock.cli.config import load_config
from mmoverlock.datasets.catalog import CATALOG
from mmoverlock.utils.datasets import leaf_dataset

from .. import fake_data
from .leaves import CONFIGS, read

PARTS = {path.stem: path for path in sorted((CONFIGS / '_base_/datasets').glob('*.py'))}
CLASSIFICATION = [name for name, path in PARTS.items() if 'num_classes' in read(path)]
RECIPES = dict(  # classes, side of a sample, images for a GPU
    imagenet_bs256=(1000, 224, 256),
    imagenet100=(100, 224, 128),
    tiny_imagenet=(200, 64, 64),
    cifar10=(10, 224, 128),
    cifar100=(100, 32, 128),
    digits=(10, 32, 64),
)


@pytest.mark.parametrize('name', CLASSIFICATION)
def test_samples(name, tmp_path, monkeypatch):
    kind = leaf_dataset(read(PARTS[name]).train_dataloader.dataset).type
    root = fake_data.lay_out(kind, tmp_path, monkeypatch)
    cfg = load_config(str(PARTS[name]), dict(data_root=str(root)) if root else {})
    (row,) = [row for row in CATALOG.values() if row.config.get('type') == kind]
    classes, batch = row.splits['train'].classes, cfg.train_dataloader.batch_size
    sides = set()
    assert cfg.num_classes == cfg.data_preprocessor.num_classes == classes
    assert cfg.val_dataloader.batch_size == batch
    assert cfg.train_dataloader.sampler.shuffle and not cfg.val_dataloader.sampler.shuffle
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        datasets = [
            DATASETS.build(cfg[f'{s}_dataloader'].dataset) for s in ('train', 'val', 'test')
        ]
    for dataset in datasets:
        assert len(dataset.metainfo['classes']) == classes
        for i in (0, len(dataset) - 1):
            sample = dataset[i]
            channels, *sizes = sample['inputs'].shape
            assert channels == 3
            sides.update(sizes)
            assert 0 <= sample['data_samples'].gt_label.item() < classes
    (side,) = sides
    assert (classes, side, batch) == RECIPES.get(name, (classes, side, batch))


def test_the_catalogue_has_a_part_for_every_folder():
    roots = {cfg.get('data_root', '').rstrip('/') for cfg in map(read, PARTS.values())}
    assert {row.root for row in CATALOG.values() if row.root} <= roots


def test_recipe():
    """ImageNet-1K: RandAugment m9-mstd0.5-inc1, random erasing 0.25 in pixel mode, bicubic."""
    cfg = read(PARTS['imagenet_bs256'])
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


@pytest.mark.parametrize('crop', [0.925, 0.95, 0.975])
def test_leaf_chooses_the_test_crop(crop, tmp_path):
    """The same where the leaf is a user's, in another folder."""
    (tmp_path / 'leaf.py').write_text(
        "_base_ = ['mmoverlock::_base_/datasets/imagenet_bs256.py']\n"
        f'pipeline = _base_.test_pipelines.crop_{1000 * crop:.0f}\n'
        'val_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
        'test_dataloader = val_dataloader\n'
    )
    cfg = Config.fromfile(tmp_path / 'leaf.py')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1].scale == int(224 / crop)
        assert loader.dataset.pipeline[2].crop_size == 224


def test_cifar100_holds_out_the_same_tenth(tmp_path, monkeypatch):
    root = fake_data.lay_out('CIFAR100', tmp_path, monkeypatch)
    cfg = load_config(str(PARTS['cifar100']), dict(data_root=str(root)))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        train, val = (DATASETS.build(cfg[f'{s}_dataloader'].dataset) for s in ('train', 'val'))
        again = DATASETS.build(cfg.val_dataloader.dataset)
    indices = [set(one._ori_indices) for one in (train, val, again)]
    assert indices[1] == indices[2] and len(indices[1]) == 2  # of 20
    assert indices[0] | indices[1] == set(range(20)) and not indices[0] & indices[1]


def test_one_option_moves_every_loader():
    cfg = load_config(str(PARTS['cifar100']), dict(data_root='there', num_classes=7))
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.get('dataset', dataset).data_root == 'there'
    assert cfg.data_preprocessor.num_classes == 7
