"""The user whose files the mutants are made of."""

import contextlib
import shutil
from pathlib import Path

import mmengine.runner.runner as mmengine_runner
import pytest
import yapf.yapflib.yapf_api as yapf_api
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from .fuzzing import Fuzz, unchanged

# What makes an evaluated config of tests/user.py one that trains, too.
TRAINING = """
_base_ = '{name}.py'
train_dataloader = _base_.test_dataloader
val_dataloader = _base_.test_dataloader
train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=9)
val_cfg = dict()
val_evaluator = _base_.test_evaluator
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, end=10, by_epoch=False)]
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
"""


@pytest.fixture(scope='session')
def user(home, tmp_path_factory) -> Path:
    """The home of tests/user.py, with configs that train and evaluate, for all three tasks."""
    user = tmp_path_factory.mktemp('fuzzed')
    shutil.copytree(home / 'data', user / 'data')
    for name in ('det', 'cls', 'seg'):
        shutil.copy(home / f'{name}.pth', user)
        shutil.copy(home / f'{name}.py', user)
        if name != 'det':
            base = user / f'{name}_test.py'
            (user / f'{name}.py').rename(base)
            (user / f'{name}.py').write_text(TRAINING.format(name=base.stem))
            Config.fromfile(user / f'{name}.py').dump(user / f'{name}.py')
            base.unlink()
    return user


@pytest.fixture
def fuzz(user, monkeypatch, capsys):
    """A :class:`Fuzz` in the user's folder, in which nothing may change.

    Training does everything but its steps.
    """
    monkeypatch.chdir(user)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    # Slow, and the same in every run: the layout of dumped configs, a description of the machine.
    monkeypatch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, True))
    monkeypatch.setattr(mmengine_runner, 'collect_env', dict)
    for loop in (EpochBasedTrainLoop, IterBasedTrainLoop):
        monkeypatch.setattr(loop, 'run', lambda self: self.runner.model)
    with contextlib.ExitStack() as stack:
        stack.enter_context(unchanged(user))
        yield Fuzz(user)
