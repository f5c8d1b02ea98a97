"""The classifiers' model parts in configs/_base_/models: sizes, recipe, and a training step of each."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmpretrain.models.utils.batch_augments import CutMix, Mixup
from mmpretrain.structures import DataSample
from torch import nn

from mmoverlock.models import load_official
from mmoverlock.models.overlock import get_arch

from ..testing import on_meta

FOLDER = Path(__file__).parents[2] / 'configs/_base_/models'
PARAMETERS = {  # in training, the auxiliary head and unmerged branches included
    'overlock/overlock-xxt_cls': 1_591_616,
    'overlock/overlock-xt_cls': 17_307_272,
    'overlock/overlock-t_cls': 34_990_472,
    'overlock/overlock-s_cls': 58_309_772,
    'overlock/overlock-b_cls': 98_012_968,
    'overlock/overlock-fpn-cbam-m_cls': 64_789_032,
    'overlock/overlock-fpn-cbam-l_cls': 144_353_676,
    'volo_flat': 4_565_308,
    'volo_pyramid': 8_354_816,
}


def model_part(name: str) -> dict:
    return Config.fromfile(FOLDER / f'{name}.py').model


def build(part: dict, num_classes: int) -> nn.Module:
    # The data sets' parts give the preprocessor; mmpretrain writes into the lists of its config.
    preprocessor = dict(num_classes=num_classes, mean=[0, 0, 0], std=[1, 1, 1])
    return MODELS.build(dict(deepcopy(part), _scope_='mmpretrain', data_preprocessor=preprocessor))


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameter_counts(name):
    part = model_part(name)
    with on_meta():
        model = build(part, part.head.num_classes)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(
    ('arch', 'drop_path'), [('xt', 0.1), ('t', 0.15), ('s', 0.4), ('b', 0.5)], ids=str
)
def test_imagenet_recipe(arch, drop_path):
    part = model_part(f'overlock/overlock-{arch}_cls')
    assert part.backbone == dict(type='OverLoCK', arch=arch, drop_path_rate=drop_path)
    assert part.head == dict(
        type='OverLoCKHead',
        arch=arch,
        num_classes=1000,
        aux_weight=0.4,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1),
    )
    with on_meta():
        model = build(part, 1000)
    augments = model.data_preprocessor.batch_augments
    assert augments.probs is None  # even odds
    assert [(type(a), a.alpha) for a in augments.augments] == [(Mixup, 0.8), (CutMix, 1.0)]


@pytest.mark.parametrize(
    ('size', 'channels', 'reduction'), [('m', 384, 48), ('l', 512, 64)], ids=str
)
def test_fpn_cbam_recipe(size, channels, reduction):
    part = model_part(f'overlock/overlock-fpn-cbam-{size}_cls')
    neck = part.neck[0]
    assert (neck.out_channels, neck.reduction) == (channels, reduction)
    assert tuple(neck.in_channels) == get_arch(part.backbone.arch).out_channels
    assert part.head.in_channels == 4 * channels
    if size == 'l':
        arch = get_arch(part.backbone.arch)
        deepest = (max(a, b) for a, b in zip(arch.depth, (0, 0, *arch.sub_depth), strict=True))
        assert tuple(part.backbone.use_checkpoint) == tuple(deepest)  # every block


def shrunk(name: str) -> dict:
    """The part with the smallest backbone: what depends on the size is set again."""
    part = model_part(name)
    if part.backbone.type == 'OverLoCK':
        part.backbone.arch = 'xxt'
    if 'fpn' in name:
        part.neck[0].in_channels = [24, 48, 128, 160]
    elif part.backbone.type == 'OverLoCK':
        part.head.arch = 'xxt'
    return part


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in PARAMETERS
        if name
        not in ('overlock/overlock-xt_cls', 'overlock/overlock-s_cls', 'overlock/overlock-b_cls')
    ],
)
def test_training_step_and_prediction(name):
    model = build(shrunk(name), shrunk(name).head.num_classes)
    side = 32 if name.startswith('volo') else 64
    images = torch.randint(0, 255, (4, 3, side, side), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(i) for i in (3, 1, 4, 1)]
    batch = dict(inputs=images, data_samples=samples)
    data = model.data_preprocessor(deepcopy(batch), training=True)
    assert ('gt_score' in data['data_samples'][0]) == bool(model_part(name).get('train_cfg'))
    loss, logged = model.parse_losses(model(**data, mode='loss'))
    assert ('loss_aux' in logged) == (model_part(name).head.type == 'OverLoCKHead')
    loss.backward()
    assert loss.isfinite()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    model.eval()
    with torch.no_grad():
        predicted = model.test_step(batch)
    assert [sample.pred_score.sum().item() for sample in predicted] == pytest.approx([1.0] * 4)


def test_published_classification_weights_start_the_fpn_classifier(golden):
    model = build(shrunk('overlock/overlock-fpn-cbam-m_cls'), 100)
    report = load_official(model, golden.state_dict('cls/xxt'))
    new = {'.'.join(name.split('.')[:2]) for name in report.missing if name.startswith('backbone')}
    assert new == {'backbone.extra_norm', 'backbone.h_proj'}
    assert {name.split('.')[0] for name in report.missing} == {'backbone', 'neck', 'head'}
