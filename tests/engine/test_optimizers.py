"""Parameters with the same options share a group, and each keeps its options."""

from mmengine.optim import build_optim_wrapper
from torch import nn

from mmoverlock.models import ContMixBlock


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
