"""The guard translates published names and refuses files that belong to another model."""

import pytest
from mmengine.registry import HOOKS

from mmoverlock.models import OverLoCK


@pytest.fixture
def runner():
    class Runner:
        model = OverLoCK(arch='xxt')
        _resume = False

    return Runner()


def test_guard_translates_published_names(runner, golden):
    published = golden.state_dict('cls/xxt')
    checkpoint = dict(published)
    HOOKS.build(dict(type='CheckpointGuard')).after_load_checkpoint(runner, checkpoint)
    own = runner.model.state_dict()
    assert checkpoint['state_dict'].keys() <= own.keys()
    assert len(checkpoint['state_dict']) > 0.9 * len(own)


@pytest.mark.parametrize(('strict', 'resume'), [(True, False), (False, True)])
def test_guard_refuses_partial_files(runner, strict, resume):
    runner._resume = resume
    checkpoint = runner.model.state_dict()
    name = next(name for name in checkpoint if name.endswith('weight'))
    del checkpoint[name]
    guard = HOOKS.build(dict(type='CheckpointGuard', strict=strict))
    with pytest.raises(ValueError, match=f"lacks 1 of the model's tensors, the first is '{name}'"):
        guard.after_load_checkpoint(runner, checkpoint)
