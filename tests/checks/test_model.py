"""What the checks of a model refuse, and what they let pass."""

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmoverlock.checks.model import check_pair
from mmoverlock.utils.models import build_model

from ..user import ARCH

SMALL = eval(ARCH)
FOCUS, OVERVIEW = 40, 32  # its channels
GAP = dict(type='GlobalAveragePooling')
LINEAR = dict(type='LinearClsHead', num_classes=2)
CONV = dict(type='FCNHead', num_classes=2, channels=8, num_convs=1)
FUSING = [
    dict(type='CBAMFPN', in_channels=[FOCUS, OVERVIEW], out_channels=16),
    dict(type='ConcatPooling'),
]


def classifier(neck: dict | list | None = GAP, out_indices=None, **head) -> dict:
    backbone = dict(type='OverLoCK', arch=SMALL, out_indices=out_indices)
    return dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)


def segmentor(**head) -> dict:
    backbone = dict(type='OverLoCK', arch=SMALL)
    return dict(type='EncoderDecoder', backbone=backbone, decode_head={**CONV, **head})


def check(model: dict) -> None:
    scope = 'mmseg' if 'decode_head' in model else 'mmpretrain'
    with DefaultScope.overwrite_default_scope(scope):
        check_pair(build_model(Config(dict(model=model))))


@pytest.mark.parametrize(
    'model',
    [
        classifier(**LINEAR, in_channels=OVERVIEW),
        classifier(
            type='StackedLinearClsHead', num_classes=2, in_channels=OVERVIEW, mid_channels=[8]
        ),
        classifier(type='MultiLabelLinearClsHead', num_classes=2, in_channels=OVERVIEW),
        segmentor(in_channels=OVERVIEW),
    ],
)
def test_a_head_that_takes_the_overview_alone_is_refused(model):
    name = 'head' if 'head' in model else 'decode_head'
    remedy = rf'model.backbone.out_indices=\[3\] and model.{name}.in_channels={FOCUS}$'
    with pytest.raises(ValueError, match=f'Focus-Net would not be trained; set {remedy}'):
        check(model)


@pytest.mark.parametrize(
    'model',
    [
        classifier(**LINEAR, in_channels=FOCUS),
        segmentor(in_channels=FOCUS),
        segmentor(in_channels=FOCUS, in_index=3),
    ],
)
def test_a_head_of_another_map_is_refused(model):
    with pytest.raises(
        ValueError, match=rf'of \({FOCUS}, {OVERVIEW}\) channels: .*; for a head of'
    ):
        check(model)


@pytest.mark.parametrize(
    'model',
    [
        classifier(neck=None, type='OverLoCKHead', arch=SMALL, num_classes=2),
        classifier(neck=FUSING, **LINEAR, in_channels=32),
        classifier(out_indices=(3,), **LINEAR, in_channels=FOCUS),
        segmentor(in_channels=FOCUS, in_index=0),
        segmentor(in_channels=[FOCUS, OVERVIEW], in_index=[0, 1], input_transform='resize_concat'),
    ],
)
def test_whatever_trains_focus_net_passes(model):
    check(model)
