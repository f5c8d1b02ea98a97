"""mmpretrain's necks, heads and self-supervised methods around OverLoCK and VOLO."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import Tensor, nn

LAST = dict(type='OverLoCK', arch='xxt', out_indices=(3,))
ALL = {**LAST, 'out_indices': (0, 1, 2, 3)}
CHANNELS = [24, 48, 128, 160]
GAP = dict(type='GlobalAveragePooling')
LINEAR = dict(type='LinearClsHead', num_classes=7, in_channels=160)
VOLO = dict(type='VOLO', arch='flat', img_size=64)


def classifier(backbone: dict = LAST, neck: dict | list | None = GAP, head: dict = LINEAR) -> dict:
    return dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)


def head(type: str, **options) -> dict:
    return classifier(head=dict(type=type, num_classes=7, in_channels=160, **options))


CLASSIFIERS = {
    **{
        f'out_indices={given}': classifier({**LAST, 'out_indices': given})
        for given in (3, -1, (3,), (-1,), [3])
    },
    'stacked': head('StackedLinearClsHead', mid_channels=[16]),
    'label smoothing, mixup and cutmix': {
        **head('LinearClsHead', loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
        'data_preprocessor': dict(num_classes=7),
        'train_cfg': dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
    },
    'multi-label': head('MultiLabelLinearClsHead'),
    'CSRA': classifier(
        neck=None,
        head=dict(type='CSRAClsHead', num_classes=7, in_channels=160, num_heads=1, lam=0.1),
    ),
    'GeM and ArcFace': classifier(
        neck=dict(type='GeneralizedMeanPooling'),
        head=dict(type='ArcFaceClsHead', num_classes=7, in_channels=160),
    ),
    'LinearNeck and ArcFace': classifier(
        neck=[GAP, dict(type='LinearNeck', in_channels=160, out_channels=16)],
        head=dict(type='ArcFaceClsHead', num_classes=7, in_channels=16),
    ),
    'four maps': classifier(ALL),
    'HRFuseScales': classifier(
        ALL, [dict(type='HRFuseScales', in_channels=CHANNELS, out_channels=160), GAP]
    ),
    'ConcatPooling': classifier(
        ALL, dict(type='ConcatPooling'), dict(LINEAR, in_channels=sum(CHANNELS))
    ),
    'OverLoCKHead': classifier(
        dict(type='OverLoCK', arch='xxt'), None, dict(type='OverLoCKHead', arch='xxt', num_classes=7)
    ),
    'multi-task': classifier(
        head=dict(type='MultiTaskHead', in_channels=160, task_heads=dict(
            one=dict(type='LinearClsHead', num_classes=7),
            two=dict(type='LinearClsHead', num_classes=7),
        )),
    ),
    'VOLO': classifier(VOLO, None, dict(LINEAR, in_channels=192)),
    'VOLO maps': classifier({**VOLO, 'out_indices': (0,)}, GAP, dict(LINEAR, in_channels=192)),
    'retriever': dict(
        type='ImageToImageRetriever', image_encoder=[LAST, GAP], head=LINEAR, prototype=torch.eye(160)
    ),
}  # fmt: skip

PROJECTION = dict(
    type='NonLinearNeck', in_channels=160, hid_channels=32, out_channels=16, num_layers=2
)
PREDICTION = {**PROJECTION, 'in_channels': 16, 'with_avg_pool': False}
LATENT = dict(
    type='LatentPredictHead', loss=dict(type='CosineSimilarityLoss'), predictor=PREDICTION
)
CONTRAST = dict(
    type='ContrastiveHead', loss=dict(type='CrossEntropyLoss', loss_weight=1.0), temperature=0.2
)
METHODS = {
    'SimCLR': dict(neck={**PROJECTION, 'with_avg_pool': True}, head=CONTRAST),
    'MoCo': dict(queue_len=8, feat_dim=16, momentum=0.001, head=CONTRAST,
                 neck=dict(type='MoCoV2Neck', in_channels=160, hid_channels=32, out_channels=16)),
    'BYOL': dict(neck=PROJECTION, head=LATENT),
    'SimSiam': dict(neck=PROJECTION, head=LATENT),
    'BarlowTwins': dict(
        neck=PROJECTION,
        head=dict(type='LatentCrossCorrelationHead', in_channels=16,
                  loss=dict(type='CrossCorrelationLoss')),
    ),
    'DenseCL': dict(
        queue_len=8, feat_dim=16, momentum=0.001, loss_lambda=0.5, head=CONTRAST,
        neck=dict(type='DenseCLNeck', in_channels=160, hid_channels=32, out_channels=16),
    ),
}  # fmt: skip


def build(cfg: dict) -> nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(cfg)


def samples(name: str) -> list:
    made = []
    for i in range(4):
        sample = DataSample().set_gt_label([i, 0] if name == 'multi-label' else i)
        if name == 'multi-label':
            sample.set_gt_score(torch.eye(7)[i])
        if name == 'multi-task':
            tasks = MultiTaskDataSample()
            tasks.set_field(sample, 'one')
            tasks.set_field(sample.clone(), 'two')
            sample = tasks
        made.append(sample)
    return made


def check_training(model: nn.Module, inputs: Tensor | list[Tensor], data_samples: list) -> None:
    """The loss is finite, and no parameter of the backbone is without gradient."""
    data = model.data_preprocessor(dict(inputs=inputs, data_samples=data_samples), training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert loss.isfinite()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert [name for name, p in trained if p.grad is None and 'backbone' in name] == []


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_classifier(name):
    model = build(CLASSIFIERS[name])
    images = torch.randn(4, 3, 64, 64)
    check_training(model, images, samples(name))
    with torch.no_grad():
        assert len(model.eval()(images, samples(name), mode='predict')) == 4


@pytest.mark.parametrize('name', METHODS)
def test_self_supervised_method(name):
    model = build(dict(type=name, backbone=LAST, **METHODS[name]))
    check_training(model, [torch.randn(4, 3, 64, 64) for _ in range(2)], samples(name))
