"""The OverLoCK classifiers carry their recipes."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from .leaves import PUBLISHED, identity, leaves, read

IMAGENET = [*leaves('overlock', '*_8xb256_in1k'), *leaves('overlock', '*_8xb128_in100')]


def assert_adamw(cfg: Config, lr: float, clip: float) -> None:
    wrapper = cfg.optim_wrapper
    adamw = dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05, fused=True)
    assert wrapper.optimizer == adamw
    assert wrapper.clip_grad == dict(max_norm=clip)
    no_decay = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)
    assert {key: wrapper.paramwise_cfg[key] for key in no_decay} == no_decay


@pytest.mark.parametrize('path', IMAGENET, ids=identity)
def test_imagenet_recipe(path):
    """ImageNet-1K's recipe; ImageNet-100 differs in the batch, hence in the rate."""
    images, classes = (256, 1000) if path.stem.endswith('_in1k') else (128, 100)
    cfg = read(path)
    arch = cfg.model.backbone.arch
    published = PUBLISHED.get(arch, {})
    assert path.stem.startswith(f'overlock-{arch}_')
    assert cfg.model.backbone.type == 'OverLoCK'
    if published:
        drop_path = published['imagenet_drop_path']
        assert cfg.model.backbone == dict(type='OverLoCK', arch=arch, drop_path_rate=drop_path)
    assert cfg.model.head == dict(
        type='OverLoCKHead',
        arch=arch,
        num_classes=classes,
        aux_weight=0.4,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    )
    augments = [dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
    assert cfg.model.train_cfg == dict(augments=augments)  # one of them in every batch

    assert_adamw(cfg, lr=1e-3 * 8 * images / 1024, clip=5.0)
    assert cfg.auto_scale_lr.base_batch_size == 8 * images
    assert cfg.train_dataloader.batch_size == images
    assert cfg.train_cfg.max_epochs == 310
    warmup, cosine = cfg.param_scheduler
    assert (warmup.type, warmup.end) == ('LinearLR', 5)
    assert warmup.start_factor * cfg.optim_wrapper.optimizer.lr == pytest.approx(1e-6)
    assert cosine == dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300)
    (ema,) = [hook for hook in cfg.custom_hooks if hook.type == 'EMAHook']
    assert ema.momentum == pytest.approx(1 - 0.9999)

    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert (steps['RandomResizedCrop'].scale, steps['RandomResizedCrop'].interpolation) == (
        224,
        'bicubic',
    )
    augment = steps['RandAugment']
    assert (augment.policies, augment.magnitude_level, augment.magnitude_std) == (
        'timm_increasing',
        9,
        0.5,
    )
    assert (steps['RandomErasing'].erase_prob, steps['RandomErasing'].mode) == (0.25, 'rand')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        _, resize, crop, _ = loader.dataset.pipeline
        assert (resize.type, resize.interpolation) == ('ResizeEdge', 'bicubic')
        assert (crop.type, crop.crop_size) == ('CenterCrop', 224)
        if published:
            assert resize.scale == int(224 / published['test_crop'])


@pytest.mark.parametrize(
    'size, images, clip, warmup', [('m', 32, 0.5, 5), ('l', 24, 0.3, 8)], ids=['m', 'l']
)
def test_workstation_recipe(size, images, clip, warmup):
    (path,) = leaves('overlock', f'overlock-fpn-cbam-{size}_2xb{images}_in100')
    cfg = read(path)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert_adamw(cfg, lr=4e-3, clip=clip)
    assert cfg.train_dataloader.batch_size == images
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == warmup
    assert cfg.model.head.num_classes == 100
    assert any(cfg.model.backbone.get('use_checkpoint', [0])) == (size == 'l')


def test_tiny_imagenet_recipe():
    (path,) = leaves('overlock', 'overlock-xxt_1xb64_tiny-imagenet-20')
    cfg = read(path)
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.train_dataloader.dataset.num_classes == 20
    assert (cfg.model.head.num_classes, cfg.model.head.aux_weight) == (20, 0.4)
