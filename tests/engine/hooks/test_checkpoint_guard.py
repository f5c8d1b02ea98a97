"""The guard translates published names and refuses files that belong to another model."""

import pytest
from mmengine.model import BaseTTAModel, ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from torch import nn

from mmoverlock.models import OverLoCK


@pytest.fixture
def runner():
    class Runner:
        model = OverLoCK(arch='xxt')
        _resume = False
        optim_wrapper = None  # as in a test
        hooks = ()

    return Runner()


def test_guard_translates_published_names(runner, golden):
    published = golden.state_dict('cls/xxt')
    checkpoint = dict(published)
    HOOKS.build(dict(type='CheckpointGuard')).after_load_checkpoint(runner, checkpoint)
    own = runner.model.state_dict()
    assert checkpoint['state_dict'].keys() <= own.keys()
    assert len(checkpoint['state_dict']) > 0.9 * len(own)


def test_guard_merges_the_model_of_a_test_alone(runner, golden):
    merged = golden.state_dict('cls_reparam/xxt')
    guard = HOOKS.build(dict(type='CheckpointGuard'))
    runner.optim_wrapper = OptimWrapper.__new__(OptimWrapper)
    with pytest.raises(ValueError, match='merged branches.*to train, take the file'):
        guard.after_load_checkpoint(runner, dict(merged))
    runner.optim_wrapper = None
    checkpoint = dict(merged)
    guard.after_load_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict'].keys() == runner.model.state_dict().keys()


class TTA(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def parallel(model: nn.Module) -> nn.Module:
    """As in a process of several, but that it needs no others."""
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    return wrapper


@pytest.mark.parametrize(
    'wrap',
    [TTA, ExponentialMovingAverage, parallel, lambda model: parallel(TTA(model))],
    ids=['test-time augmentation', 'moving average', 'data parallel', 'two wrappers'],
)
def test_guard_looks_into_wrappers(runner, wrap):
    """Under other people's tools the runner's model may be inside one, or two."""
    runner.model.test_step = None  # which TTA asks for
    checkpoint = dict(state_dict=runner.model.state_dict())
    names = checkpoint['state_dict'].keys()
    runner.model = wrap(runner.model)
    guard = HOOKS.build(dict(type='CheckpointGuard', strict=True))
    guard.after_load_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict'].keys() == names


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (False, True)])
def test_guard_refuses_partial_files(runner, strict, resume):
    runner._resume = resume
    checkpoint = runner.model.state_dict()
    name = next(name for name in checkpoint if name.endswith('weight'))
    del checkpoint[name]
    guard = HOOKS.build(dict(type='CheckpointGuard', strict=strict))
    with pytest.raises(ValueError, match=f"lacks 1 of the model's tensors, the first is '{name}'"):
        guard.after_load_checkpoint(runner, checkpoint)
