"""Every classification config trains and validates through tools/train.py."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint

from mmoverlock.engine.hooks.epoch_table import read_epochs
from mmoverlock.utils.datasets import leaf_dataset

from .. import fake_data
from .leaves import LEAVES, identity, read, shallow

CLASSIFIERS = [path for path in LEAVES if read(path).default_scope == 'mmpretrain']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Name of a data set's class -> the folder of made-up data, or None where it needs none."""
    with pytest.MonkeyPatch.context() as patch:

        @cache
        def folder(kind: str) -> Path | None:
            root = tmp_path_factory.mktemp(kind)
            if kind == 'ClassFolder':
                return fake_data.class_folders(root, ['cat', 'dog'], images=5)
            return fake_data.lay_out(kind, root, patch)

        yield folder


def small_images(cfg: Config) -> list[str]:
    """Options that make images of 224² ones of 64²; VOLO-D1 cannot."""
    if cfg.model.type == 'TimmClassifier':
        return []
    options = []
    for loader in ('train_dataloader', 'val_dataloader'):
        for i, step in enumerate(leaf_dataset(cfg[loader].dataset).pipeline):
            for name in ('scale', 'crop_size'):
                if step.get(name) in (224, (224, 224)):
                    size = 64 if step[name] == 224 else '(64,64)'
                    options.append(f'{loader}.dataset.pipeline.{i}.{name}={size}')
    return options


def shallow_config(path: Path, cfg: Config, folder: Path) -> Path:
    """A config of the same name that inherits from `path`, its OverLoCK shallow."""
    parts = {
        name: dict(arch=dict(shallow(part.arch), _delete_=True))
        for name, part in cfg.model.items()
        if name in ('backbone', 'head') and part.type in ('OverLoCK', 'OverLoCKHead')
    }
    folder.mkdir()
    mine = folder / path.name
    mine.write_text(f"_base_ = '{path}'\nmodel = {parts}\n")
    return mine


@pytest.mark.parametrize('path', CLASSIFIERS, ids=identity)
def test_trains_and_validates(path, data, tool, tmp_path):
    """Two iterations (nine of CIFAR-100, which is small)."""
    cfg = read(path)
    dataset = leaf_dataset(cfg.train_dataloader.dataset)
    arguments = [str(shallow_config(path, cfg, tmp_path / 'config')), '--work-dir', str(tmp_path)]
    arguments += ['--seed', '0']  # nothing is measured
    options = ['train_cfg.max_epochs=1', 'optim_wrapper.type=OptimWrapper', 'load_from=None']
    options += [f'default_hooks.checkpoint.{o}' for o in ('save_optimizer=False', 'save_best=None')]
    options += small_images(cfg)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options += [f'{loader}.{o}=0' for o in ('num_workers', 'persistent_workers')]
        options.append(f'{loader}.batch_size=2')
        if dataset == cfg.train_dataloader.dataset and dataset.type != 'ClassFolder':
            options.append(f'{loader}.dataset.indices=4')
    root = data(dataset.type)
    if dataset.type == 'ClassFolder':
        arguments += ['--data-root', str(root)]
    elif root:
        options.append(f'data_root={root}')
    tool('train')([*arguments, '--cfg-options', *options])
    (row,) = read_epochs(tmp_path / 'epochs.csv')
    assert row['train_loss'] > 0 and row['val_loss'] > 0 and 0 <= row['acc_top1'] <= 100
    assert (tmp_path / 'epoch_1.pth').is_file()
    trained = Config.fromfile(tmp_path / path.name)
    init_default_scope('mmpretrain')
    load_checkpoint(MODELS.build(trained.model), str(tmp_path / 'epoch_1.pth'), strict=True)
