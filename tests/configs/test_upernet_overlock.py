"""The UPerNet configs carry the published recipe, train, predict and load published weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmoverlock.models import load_official
from mmoverlock.models.overlock import get_arch

from ..testing import assert_close, draw, golden_arrays, golden_state_dict, on_meta
from .leaves import PUBLISHED, WEIGHTS, identity, leaves, read, shallow

UPERNET = leaves('upernet_overlock', '*_ade20k-*')


@pytest.fixture(scope='module')
def ade20k(tmp_path_factory):
    """Four pictures in the layout of ADE20K; 0 stands for no class."""
    root = tmp_path_factory.mktemp('ade')
    rng = np.random.default_rng(0)
    for split in ('training', 'validation'):
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for i in range(4):
            size = (96, 131) if i % 2 else (131, 96)
            picture = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
            labels = np.kron(rng.integers(0, 151, (5, 5)), np.ones((30, 30)))[: size[0], : size[1]]
            Image.fromarray(picture).save(root / 'images' / split / f'{i}.jpg')
            Image.fromarray(labels.astype(np.uint8)).save(root / 'annotations' / split / f'{i}.png')
    return root


@pytest.mark.parametrize('path', UPERNET, ids=identity)
def test_recipe(path):
    cfg = read(path)
    arch = cfg.model.backbone.arch
    # Nothing is published of XT on ADE20K: it has the rate that it has on ImageNet.
    published = PUBLISHED[arch]
    assert cfg.model.backbone == dict(
        type='OverLoCK',
        arch=arch,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=published.get('ade_drop_path', published['imagenet_drop_path']),
        init_cfg=dict(type='Pretrained', checkpoint=WEIGHTS.format(arch)),
    )
    head, auxiliary = cfg.model.decode_head, cfg.model.auxiliary_head
    channels = list(get_arch(arch).out_channels)
    assert (head.type, head.channels, head.in_channels) == ('UPerHead', 512, channels)
    assert (auxiliary.type, auxiliary.channels, auxiliary.in_index) == ('FCNHead', 256, 2)
    assert (auxiliary.in_channels, auxiliary.loss_decode.loss_weight) == (channels[2], 0.4)
    assert head.num_classes == auxiliary.num_classes == 150
    assert cfg.model.data_preprocessor.size == (512, 512) and cfg.sync_bn == 'torch'

    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (160000, 8000)
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.save_best) == (8000, 'mIoU')
    adamw = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    assert cfg.optim_wrapper.optimizer == adamw
    warmup, decay = cfg.param_scheduler
    assert warmup == dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500)
    assert decay == dict(
        type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=160000
    )
    assert cfg.train_dataloader.batch_size == 2

    train = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert train['RandomCrop'].crop_size == (512, 512)
    assert (train['RandomResize'].scale, train['RandomResize'].ratio_range) == (
        (2048, 512),
        (0.5, 2.0),
    )
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        _, resize, multiple, *_ = loader.dataset.pipeline
        assert resize == dict(type='Resize', scale=(2048, 512), keep_ratio=True)
        assert multiple == dict(type='ResizeToMultiple', size_divisor=32)


def test_no_weight_decay_on_norms():
    cfg = read(UPERNET[0])
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decay = {id(p): group['weight_decay'] for group in groups for p in group['params']}
    assert [decay[id(p)] for p in model.parameters()] == [0.01, 0.01, 0, 0]


@pytest.mark.parametrize('path', UPERNET, ids=identity)
def test_trains_and_predicts(path, ade20k, tmp_path):
    cfg = read(path)
    cfg.work_dir = str(tmp_path)
    cfg.model.backbone.update(init_cfg=None, arch=shallow(cfg.model.backbone.arch))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(ade20k)
        for step in loader.dataset.pipeline:
            if 'Resize' in step.type and 'scale' in step:
                step.scale = (512, 96)
            if step.type == 'RandomCrop':
                step.crop_size = (64, 64)
    cfg.model.data_preprocessor.size = (64, 64)
    cfg.update(log_level='ERROR', visualizer=None)
    runner = Runner.from_cfg(cfg)

    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    runner.model.train()
    losses = runner.model.train_step(batch, runner.build_optim_wrapper(cfg.optim_wrapper))
    assert {'decode.loss_ce', 'aux.loss_ce'} <= losses.keys()
    assert all(value.isfinite().all() for value in losses.values())

    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))
    assert all(side % 32 == 0 for side in batch['inputs'][0].shape[1:])
    runner.model.eval()
    with torch.no_grad():
        (sample,) = runner.model.test_step(batch)
    assert (
        sample.pred_sem_seg.data.shape[1:] == sample.ori_shape == sample.gt_sem_seg.data.shape[1:]
    )


@pytest.mark.parametrize('path', UPERNET, ids=identity)
def test_published_names_fit(path):
    """The backbone of a published segmentor; the heads' names are mmseg's."""
    cfg = read(path)
    init_default_scope('mmseg')
    with on_meta():
        model = MODELS.build(cfg.model)
    backbone = golden_state_dict(f'seg/{cfg.model.backbone.arch}')
    state = {f'backbone.{name}': tensor.to('meta') for name, tensor in backbone.items()}
    state |= {name: t for name, t in model.state_dict().items() if not name.startswith('backbone.')}
    report = load_official(model, state)
    assert not report.missing and not report.unexpected


def test_golden_maps():
    """The maps that the segmentor's heads get are the published ones."""
    cfg = next(cfg for cfg in map(read, UPERNET) if cfg.model.backbone.arch == 'xt')
    cfg.model.backbone.init_cfg = None
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model).eval()
    state = {f'backbone.{key}': value for key, value in golden_state_dict('seg/xt').items()}
    report = load_official(model, state)
    assert not report.unexpected
    assert all('_head.' in name for name in report.missing)
    expected = golden_arrays('seg_xt_96x160')
    with torch.no_grad():
        maps = model.extract_feat(draw(4, 1, 3, 96, 160))
    for index, one in enumerate(maps, start=2):
        assert one.shape == tuple(expected[f'c{index}_shape'])
        assert_close(one[:, ::5, ::3, ::3], expected[f'c{index}'])
