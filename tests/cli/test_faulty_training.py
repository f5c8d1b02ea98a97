"""Steps of NaN in the training of all three tasks, as a user runs it."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from mmoverlock.engine import FiniteLossGuard
from mmoverlock.engine.runner import build_runner


class Spoil(Hook):
    """Puts NaN into pictures, labels or a gradient of the third of four iterations."""

    def __init__(self, what: str) -> None:
        self.what = what

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter != 2:
            return
        if self.what == 'picture':
            data_batch['inputs'] = [one.float() * math.nan for one in data_batch['inputs']]
            if runner.cfg.default_scope == 'mmpretrain':  # its batch is one tensor
                data_batch['inputs'] = torch.stack(data_batch['inputs'])
        if self.what == 'gradient':
            parameter = next(runner.model.parameters())
            handle = parameter.register_hook(lambda grad: grad * math.nan)
            self.handle = handle

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2 and self.what == 'gradient':
            self.handle.remove()


def config(name: str, work_dir) -> Config:
    cfg = Config.fromfile(f'{name}.py')
    cfg.work_dir = str(work_dir)
    cfg.launcher, cfg.log_level, cfg.load_from = 'none', 'ERROR', None
    cfg.train_dataloader = cfg.get('train_dataloader') or cfg.test_dataloader
    cfg.train_cfg = dict(by_epoch=False, max_iters=4, val_interval=100)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4))
    cfg.param_scheduler = None
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=4)
    cfg.default_hooks = dict(checkpoint=checkpoint, logger=dict(type='LoggerHook', interval=1))
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=False)
    cfg.experiment_name = f'{name}_{work_dir.name}'
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('what', ['picture', 'gradient'])
@pytest.mark.parametrize('name', ['cls', 'det', 'seg'])
def test_one_faulty_batch_is_healed(at_home, tmp_path, name, what):
    cfg = config(name, tmp_path)
    runner = build_runner(cfg, strict=False)
    runner.register_hook(Spoil(what), priority='LOWEST')
    runner.train()
    (guard,) = (hook for hook in runner.hooks if isinstance(hook, FiniteLossGuard))
    assert (guard.steps, guard.skipped, guard.returns) == (4, 1, 0)
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=False)
    assert all(value.isfinite().all() for value in saved['state_dict'].values())
    assert all(
        value.isfinite().all()
        for state in saved['optimizer']['state'].values()
        for value in state.values()
    )
    assert {int(state['step']) for state in saved['optimizer']['state'].values()} == {3}


def test_a_rate_that_wrecks_a_detector_ends_the_run(at_home, tool, tmp_path, capsys):
    options = ['optim_wrapper.optimizer.lr=1e12', 'optim_wrapper.clip_grad=None']
    options += ['train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=1']
    with pytest.raises(SystemExit) as stop:
        tool('train')(['det.py', '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert stop.value.code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('error: FloatingPointError: ') and 'lower the learning rate' in error
    for path in tmp_path.glob('*.pth'):
        weights = torch.load(path, weights_only=False)['state_dict']
        assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('way', ['load_from', 'resume', 'init_cfg', 'test'])
def test_weights_that_are_not_finite_are_refused(home, at_home, tool, tmp_path, capsys, way, value):
    weights = torch.load('det.pth', weights_only=True)['state_dict']
    name = next(key for key in weights if key.startswith('backbone') and key.endswith('weight'))
    weights[name] = weights[name] * value
    file = str(tmp_path / 'bad.pth')
    torch.save(dict(state_dict=weights, meta={}, optimizer={}, message_hub={}), file)
    init = f"dict(_delete_=True, type='Pretrained', checkpoint='{file}', prefix='backbone.')"
    text = f"_base_ = '{home}/det.py'\nmodel = dict(backbone=dict(init_cfg={init}))"
    (tmp_path / 'init.py').write_text(text)
    arguments = dict(
        load_from=['det.py', '--cfg-options', f'load_from={file}'],
        resume=['det.py', '--resume', file],
        init_cfg=[str(tmp_path / 'init.py')],
        test=['det.py', file],
    )[way]  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        tool('test' if way == 'test' else 'train')(
            [*arguments, '--work-dir', str(tmp_path / 'run')]
        )
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"checkpoint '{file}' holds NaN or infinity in 1 tensors, the first is" in error
    assert not (tmp_path / 'run').exists()
