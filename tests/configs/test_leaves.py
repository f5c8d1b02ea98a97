"""What holds for every config: it is short, it builds, its channels are its arch's."""

from __future__ import annotations

import re

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope

from mmoverlock.cli import evaluation
from mmoverlock.models import OverLoCK
from mmoverlock.models.overlock import get_arch
from mmoverlock.utils.datasets import leaf_dataset

from ..testing import on_meta
from .leaves import CONFIGS, LEAVES, MODELS_FOLDER, identity, read

PARTS = sorted(MODELS_FOLDER.glob('*.py'))


def without_weights(cfg: Config) -> Config:
    """Nothing is downloaded to build it."""
    if cfg.model.get('backbone'):
        cfg.model.backbone.init_cfg = None
    return cfg


@pytest.mark.parametrize('path', LEAVES, ids=identity)
def test_leaves_are_short_and_build(path):
    assert len(path.read_text().splitlines()) <= (60 if path.parent.name == 'quickstart' else 30)
    cfg = without_weights(read(path))
    init_default_scope(cfg.default_scope)
    with on_meta():
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor')))
    neck = cfg.model.get('neck')
    if neck and isinstance(model.backbone, OverLoCK):
        given = (neck[0] if isinstance(neck, list) else neck).in_channels
        assert tuple(given) == model.backbone.out_channels


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.py')), ids=lambda p: f'{p.parent.name}-{p.stem}'
)
def test_nothing_is_changed_by_its_index(path):
    """Where a base's list gets another step, an index means another one, silently."""
    assert not re.search(r'_base_\.[\w.]*\[\d', path.read_text())


@pytest.mark.parametrize('path', PARTS, ids=identity)
def test_arch_is_stated_once(path):
    """An arch's files name it as they are named; what follows from it is right."""
    cfg = read(path)
    if path.stem.endswith('_dense'):
        arch = cfg.backbone.arch
        assert tuple(cfg.channels) == get_arch(arch).out_channels
        assert cfg.keys() == {'backbone', 'channels'}
    else:
        arch = cfg.model.backbone.arch
        assert cfg.model.head.get('arch', arch) == arch
    if isinstance(arch, str) and 'fpn' not in path.stem:
        assert path.stem.startswith(f'overlock-{arch}_')


@pytest.mark.parametrize('arch', ['s', 'xxt'])
def test_another_arch_in_a_config_of_ones_own(arch, tmp_path):
    """A leaf has taken its arch from its base, so another arch's part fits beside it."""
    part = f'overlock/overlock-{arch}_dense.py'
    leaf = 'maskrcnn_overlock/mask_rcnn_overlock_t_in1k_fpn_1x_coco.py'
    (tmp_path / 'mine.py').write_text(
        f"_base_ = ['mmoverlock::{leaf}', 'mmoverlock::_base_/models/{part}']\n"
        "model = dict(backbone=_base_.pop('backbone'), neck=dict(in_channels=_base_.pop('channels')))\n"
    )
    cfg = without_weights(Config.fromfile(tmp_path / 'mine.py'))
    assert cfg.model.backbone.arch == arch
    init_default_scope(cfg.default_scope)
    with on_meta():
        model = MODELS.build(cfg.model)
    assert list(model.backbone.out_channels) == cfg.model.neck.in_channels


@pytest.mark.parametrize('path', LEAVES, ids=identity)
def test_test_time_augmentation(path):
    """Each image is used several times; a digit is never mirrored."""
    cfg = read(path)
    if cfg.default_scope == 'mmdet':
        evaluation.set_metrics(cfg, ['bbox'])
    evaluation.set_tta(cfg)
    init_default_scope(cfg.default_scope)
    augment = leaf_dataset(cfg.test_dataloader.dataset).pipeline[-1]
    mirrors = any(
        step.type == 'RandomFlip' and step.prob > 0 for part in augment.transforms for step in part
    )
    assert mirrors == ('digits' not in path.stem)
    assert len(TRANSFORMS.build(augment).subroutines) > 1
