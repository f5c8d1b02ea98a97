"""The VOLO configs for CIFAR-100 carry their recipe."""

from __future__ import annotations

import pytest

from .leaves import identity, leaves, read


@pytest.mark.parametrize('path', leaves('volo', '*_cifar100'), ids=identity)
def test_recipe(path):
    cfg = read(path)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == 130
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert [one.type for one in cfg.model.train_cfg.augments] == ['Mixup', 'CutMix']
    assert cfg.model.head.num_classes == 100
