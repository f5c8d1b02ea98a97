"""The Mask R-CNN configs carry the published recipe, train and predict."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from mmoverlock.models import OverLoCK

from .leaves import CONFIGS, PUBLISHED, WEIGHTS, identity, leaves, read, shallow

MASK_RCNN = leaves('maskrcnn_overlock', '*_coco')
ONCE = [path for path in MASK_RCNN if '_1x_' in path.stem]  # the 3x recipes have the same models
COCO_NAMES = ['person', 'dog', 'umbrella']


@pytest.fixture(scope='module')
def coco_sample(tmp_path_factory) -> Path:
    """Four pictures in COCO's layout, with three of COCO's categories."""
    root = tmp_path_factory.mktemp('coco')
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
    for i in range(4):
        height, width = (96, 128) if i % 2 else (128, 96)
        picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        for split in ('train2017', 'val2017'):
            cv2.imwrite(str(root / split / f'{i}.jpg'), picture)
        images.append(dict(id=i, file_name=f'{i}.jpg', height=height, width=width))
        for j in range(3):
            x, y, w, h = 5 + 10 * j, 8 + 6 * i, 40, 48
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotations.append(
                dict(
                    id=3 * i + j + 1, image_id=i, category_id=j + 1, bbox=[x, y, w, h], area=w * h,
                    iscrowd=0, segmentation=[polygon],
                )
            )  # fmt: skip
    categories = [dict(id=i, name=name) for i, name in enumerate(COCO_NAMES, 1)]
    content = json.dumps(dict(images=images, annotations=annotations, categories=categories))
    (root / 'annotations').mkdir()
    for split in ('train2017', 'val2017'):
        (root / 'annotations' / f'instances_{split}.json').write_text(content)
    return root


def shrink(pipeline: list) -> None:
    """Scale the pipeline's sizes down to an eighth or so, in place; nothing else changes."""
    for step in pipeline:
        if step['type'] == 'Resize':
            assert tuple(step['scale']) == (1333, 800)
            step['scale'] = (128, 96)
        elif step['type'] == 'RandomChoiceResize':
            step['scales'] = [(short // 6, 160) for short, _ in step['scales']]
        elif step['type'] == 'RandomCrop':
            step['crop_size'] = (64, 100)
        elif step['type'] == 'RandomChoice':
            for branch in step['transforms']:
                shrink(branch)


@pytest.mark.parametrize('path', MASK_RCNN, ids=identity)
def test_recipe(path):
    cfg = read(path)
    arch, published = cfg.model.backbone.arch, PUBLISHED.get(cfg.model.backbone.arch)
    schedule = '3x' if cfg.train_cfg.max_epochs == 36 else '1x'
    assert f'_{arch}_' in path.stem and f'_{schedule}_' in path.stem
    assert (cfg.model.backbone.out_indices, cfg.model.backbone.fuse_overview) == (
        (0, 1, 2, 3),
        True,
    )
    if published:
        # Nothing is published of XT on COCO: it has the rate that it has on ImageNet.
        drop_path = published.get('coco_drop_path', published['imagenet_drop_path'])
        assert cfg.model.backbone == dict(
            type='OverLoCK',
            arch=arch,
            out_indices=(0, 1, 2, 3),
            fuse_overview=True,
            contiguous=False,
            drop_path_rate=drop_path,
            init_cfg=dict(type='Pretrained', checkpoint=WEIGHTS.format(arch)),
        )
    assert cfg.model.neck.type == 'FPN'
    assert (cfg.model.neck.out_channels, cfg.model.neck.num_outs) == (256, 5)
    assert cfg.sync_bn == 'torch'
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=16)
    assert cfg.train_dataloader.batch_size == 2

    optimizer = cfg.optim_wrapper.optimizer
    lr = {'1x': 2e-4, '3x': 1e-4}[schedule]
    adamw = dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05, fused=True)
    assert optimizer == adamw
    epochs, steps = {'1x': (12, [8, 11]), '3x': (36, [27, 33])}[schedule]
    assert (cfg.train_cfg.type, cfg.train_cfg.max_epochs) == ('EpochBasedTrainLoop', epochs)
    warmup, decay = cfg.param_scheduler
    assert warmup == dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)
    assert decay == dict(
        type='MultiStepLR', begin=0, end=epochs, by_epoch=True, milestones=steps, gamma=0.1
    )

    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert steps['RandomFlip'].prob == 0.5
    scales = [(short, 1333) for short in range(480, 801, 32)]
    if schedule == '1x':
        assert steps['Resize'] == dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    else:
        plain, cropped = steps['RandomChoice'].transforms
        assert [s.type for s in plain] == ['RandomChoiceResize']
        assert plain[0].scales == scales and plain[0].keep_ratio
        assert [s.type for s in cropped] == [
            'RandomChoiceResize',
            'RandomCrop',
            'RandomChoiceResize',
        ]
        assert cropped[0].scales == [(400, 1333), (500, 1333), (600, 1333)]
        assert (cropped[1].crop_type, cropped[1].crop_size) == ('absolute_range', (384, 600))
        assert cropped[2].scales == scales


def test_no_weight_decay_on_norms_and_position_tables():
    cfg = read(MASK_RCNN[-1])
    model = OverLoCK('xxt', out_indices=(0, 1, 2, 3), fuse_overview=True)
    init_default_scope('mmdet')

    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    decay = {
        id(p): group['weight_decay'] for group in optimizer.param_groups for p in group['params']
    }
    norms = (torch.nn.LayerNorm, torch.nn.BatchNorm2d)
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            exempt = isinstance(module, norms) or name.startswith('rpb')
            assert decay[id(parameter)] == (0.0 if exempt else 0.05), f'{path}.{name}'


@pytest.mark.parametrize('path', ONCE, ids=identity)
def test_mask_rcnn_trains_and_predicts(path, coco_sample, tmp_path):
    cfg = read(path)
    cfg.work_dir = str(tmp_path)
    cfg.model.backbone.update(init_cfg=None, arch=shallow(cfg.model.backbone.arch))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(coco_sample)
        shrink(loader.dataset.pipeline)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(coco_sample / 'annotations/instances_val2017.json')
    cfg.update(log_level='ERROR', visualizer=None)
    runner = Runner.from_cfg(cfg)

    batch = next(iter(runner.build_dataloader(cfg.train_dataloader)))
    optim_wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    weight = runner.model.backbone.base_net.patch_embed1[0].weight
    before = weight.detach().clone()
    runner.model.train()
    losses = runner.model.train_step(batch, optim_wrapper)
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} <= set(losses)
    assert not torch.equal(weight, before)

    runner.model.eval()
    batch = next(iter(runner.build_dataloader(cfg.test_dataloader)))
    with torch.no_grad():
        (sample,) = runner.model.test_step(batch)
    assert sample.pred_instances.masks.shape[1:] == sample.ori_shape


def test_pretrained_weights_from_a_local_file(golden, tmp_path):
    """--cfg-options model.backbone.init_cfg.checkpoint=PATH is all it takes."""
    file = tmp_path / 'overlock_xt_in1k_224.pth'
    torch.save(golden.state_dict('cls/xt'), file)
    cfg = read(CONFIGS / 'maskrcnn_overlock/mask_rcnn_overlock_xt_in1k_fpn_1x_coco.py')
    cfg.merge_from_dict({'model.backbone.init_cfg.checkpoint': str(file)})
    init_default_scope('mmdet')

    model = MODELS.build(cfg.model)
    model.init_weights()
    expected = golden.state_dict('cls/xt')['patch_embed1.0.weight']
    assert torch.equal(model.backbone.base_net.patch_embed1[0].weight, expected)
