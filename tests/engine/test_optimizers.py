"""Parameters with the same options share a group, and each keeps its options."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmoverlock.models import ContMixBlock, OverLoCK


def options(model: nn.Module, constructor: str) -> tuple[int, dict[str, tuple[float, float]]]:
    """The number of groups, and every parameter's learning rate and weight decay."""
    paramwise = dict(
        norm_decay_mult=0.0,
        bias_lr_mult=2.0,
        custom_keys={'rpb': dict(decay_mult=0.0), 'mlp': dict(lr_mult=0.5)},
    )
    optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
    cfg = dict(constructor=constructor, optimizer=optimizer, paramwise_cfg=paramwise)
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    found = {id(p): (one['lr'], one['weight_decay']) for one in groups for p in one['params']}
    assert len(found) == sum(len(one['params']) for one in groups)
    return len(groups), {name: found[id(p)] for name, p in model.named_parameters()}


def test_few_groups_with_mmengines_options():
    model = nn.Sequential(ContMixBlock(16), nn.Linear(16, 4))
    number, ours = options(model, 'GroupedOptimWrapperConstructor')
    apart, expected = options(model, 'DefaultOptimWrapperConstructor')
    assert ours == expected
    assert number < 8 < apart == len(expected)


# ------------------------------------------------------------------------------- layer decay

MODELS_WITH_BACKBONE = {
    'mmpretrain': dict(
        type='ImageClassifier',
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=160),
    ),
    'mmdet': dict(
        type='RetinaNet',
        neck=dict(type='FPN', in_channels=[160], out_channels=16, num_outs=5),
        bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=16),
    ),
    'mmseg': dict(
        type='EncoderDecoder',
        decode_head=dict(
            type='FCNHead', in_channels=160, channels=8, num_classes=3, in_index=0, num_convs=1
        ),
    ),
}


@pytest.mark.parametrize('scope', MODELS_WITH_BACKBONE)
def test_rates_fall_with_depth_in_all_three_libraries(scope):
    backbone = dict(type='OverLoCK', arch='xxt', out_indices=(3,))
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        model = MODELS.build({**MODELS_WITH_BACKBONE[scope], 'backbone': backbone})
        cfg = dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.05),
            constructor='LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5, norm_decay_mult=0.0),
        )
        groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    for name, parameter in model.named_parameters():
        layer, layers = model.backbone.get_layer_depth(name, 'backbone.')
        assert rates[id(parameter)] == 0.5 ** (layers - 1 - layer), name
        assert name.startswith('backbone.') or rates[id(parameter)] == 1
    assert min(rates.values()) < 1e-2
    assert {group['weight_decay'] for group in groups} == {0, 0.05}


@pytest.mark.parametrize(
    ('model', 'paramwise', 'message'),
    [
        (OverLoCK('xxt'), dict(norm_decay_mult=0), 'layer_decay_rate=None: above 0'),
        (OverLoCK('xxt'), dict(layer_decay_rate=1.5), 'layer_decay_rate=1.5: above 0'),
        (nn.Sequential(nn.Linear(1, 1)), dict(layer_decay_rate=0.5), 'Sequential has no backbone'),
    ],
)
def test_wrong_layer_decay_is_refused(model, paramwise, message):
    cfg = dict(
        optimizer=dict(type='SGD', lr=1.0),
        constructor='LayerDecayOptimWrapperConstructor',
        paramwise_cfg=paramwise,
    )
    with pytest.raises(ValueError, match=message):
        build_optim_wrapper(model, cfg)
