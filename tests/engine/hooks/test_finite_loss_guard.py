"""Steps of NaN are skipped without a trace; a run that goes on in NaN returns, or gives up."""

import contextlib
import copy
import functools
import gc
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapperDict
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner, loops
from torch import nn
from torch.utils.data import DataLoader

from mmoverlock.engine import FiniteLossGuard

ADAM = dict(type='AdamW', lr=0.01)


class Model(BaseModel):
    """A regression with a batch norm. `fault(model, x, loss)` may spoil the loss."""

    def __init__(self, fault=None):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.register_buffer('mask', torch.tensor([0.0, -math.inf]))
        self.fault, self.calls = fault or (lambda model, x, loss: loss), 0

    def forward(self, inputs, mode='tensor'):
        self.calls += 1
        out = self.layers(inputs)
        loss = (out - inputs.sum(1, keepdim=True)).square().mean()
        return dict(loss_fit=self.fault(self, inputs, loss), accuracy=loss.detach())


def batches(number: int, bad: dict | None = None) -> list[dict]:
    x = torch.randn(number, 4, 2, generator=torch.Generator().manual_seed(1))
    for index, value in (bad or {}).items():
        x[index, 0, 0] = value
    return [dict(inputs=one) for one in x]


def loader(data: list[dict]) -> DataLoader:
    return DataLoader([dict(inputs=row) for one in data for row in one['inputs']], 4)


class NanGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * math.nan


def at(*calls: int):
    """A fault in these forward calls, from 1."""
    return lambda spoil: lambda model, x, loss: spoil(loss) if model.calls in calls else loss


SPOILERS = dict(
    forward=lambda loss: loss * math.nan,
    infinite=lambda loss: loss + math.inf,  # the gradient is finite
    gradient=NanGradient.apply,
)


def run(work_dir, data, fault=None, guard=None, optim=None, hooks=(), max_iters=None, **cfg):
    guard = guard or FiniteLossGuard()
    runner = Runner(
        Model(fault),
        work_dir=str(work_dir),
        train_dataloader=loader(data),
        train_cfg=dict(by_epoch=False, max_iters=max_iters or len(data)),
        optim_wrapper=dict(optimizer=ADAM, **(optim or {})),
        custom_hooks=[guard, *hooks],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1),
            logger=dict(type='LoggerHook', interval=1),
        ),
        experiment_name=f'{work_dir.name}_{id(guard)}',
        log_level='ERROR',
        **cfg,
    )
    runner.train()
    return runner


def state(runner) -> dict:
    return {
        **runner.model.state_dict(),
        **{
            f'{i}.{name}': value
            for i, one in runner.optim_wrapper.optimizer.state_dict()['state'].items()
            for name, value in one.items()
        },
    }


def assert_same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        assert torch.equal(actual[name], expected[name]), name


OPTIMS = dict(
    plain={},
    norm=dict(clip_grad=dict(max_norm=1.0)),
    value=dict(clip_grad=dict(type='value', clip_value=1.0)),
)


@pytest.mark.parametrize('optim', OPTIMS)
@pytest.mark.parametrize('kind', [*SPOILERS, 'data'])
def test_a_skipped_batch_leaves_no_trace(tmp_path, kind, optim):
    bad = {2: math.nan, 4: math.inf} if kind == 'data' else {}
    fault = at(3, 5)(SPOILERS[kind]) if kind in SPOILERS else None
    data = batches(8, bad)
    guard = FiniteLossGuard()
    healed = run(tmp_path, data, fault, guard, optim=copy.deepcopy(OPTIMS[optim]))
    assert (guard.skipped, guard.steps, guard.returns) == (2, 8, 0)
    rest = [one for i, one in enumerate(data) if i not in (2, 4)]
    assert_same(
        state(healed), state(run(tmp_path / 'rest', rest, optim=copy.deepcopy(OPTIMS[optim])))
    )
    saved = torch.load(tmp_path / 'iter_8.pth', weights_only=False)
    assert all(v.isfinite().all() for k, v in saved['state_dict'].items() if k != 'mask')


def test_with_accumulated_gradients_the_whole_step_is_left_out(tmp_path):
    data = batches(9, {4: math.nan})
    seen = []

    class Average(EMAHook):
        def after_train_iter(self, runner, *args, **kwargs):
            super().after_train_iter(runner, *args, **kwargs)
            seen.append(
                all(one.isfinite().all() for one in runner.model.layers.state_dict().values())
            )

    average = Average(update_buffers=True)
    accumulate = dict(accumulative_counts=3)
    healed = run(tmp_path, data, optim=accumulate, hooks=[average])
    assert all(seen)
    assert all(
        v.isfinite().all() for k, v in average.ema_model.state_dict().items() if 'mask' not in k
    )
    rest = run(tmp_path / 'rest', data[:3] + data[6:], optim=accumulate)
    assert_same(state(healed), state(rest))


def test_losses_of_skipped_steps_are_left_out_of_the_log(tmp_path):
    run(tmp_path, batches(6, {2: math.nan}))
    (log,) = tmp_path.rglob('scalars.json')
    assert 'NaN' not in log.read_text() and len(log.read_text().splitlines()) == 6


class Wreck(Hook):
    """Changes the weights in or, if `late`, after the step of an iteration, counted from 1."""

    def __init__(self, iteration, change, late=False):
        self.iteration, self.change, self.late = iteration, change, late

    @torch.no_grad()
    def wreck(self, runner, late):
        if (runner.iter + 1, late) == (self.iteration, self.late):
            for parameter in runner.model.parameters():
                self.change(parameter)

    def before_train(self, runner):
        optimizer = runner.optim_wrapper.optimizer
        optimizer.register_step_post_hook(lambda *_: self.wreck(runner, late=False))

    def after_train_iter(self, runner, *args, **kwargs):
        self.wreck(runner, late=True)


@pytest.mark.parametrize('on_return', [None, 'halve_lr'])
def test_a_run_that_goes_on_in_nan_returns(tmp_path, on_return):
    guard = FiniteLossGuard(patience=3, snapshot_interval=2, on_return=on_return)
    average = EMAHook(momentum=0.5)
    schedule = dict(type='LinearLR', start_factor=0.5, end=20, by_epoch=False)
    data = batches(20)
    wreck = Wreck(6, lambda parameter: parameter.mul_(1e30))
    healed = run(tmp_path, data, guard=guard, hooks=[wreck, average], param_scheduler=schedule)
    assert guard.returns == 1 and guard.in_row == 0
    assert 3 <= guard.skipped <= 4
    for module in (healed.model.layers, average.ema_model.module.layers):
        assert all(value.abs().max() < 100 for value in module.state_dict().values())
    (group,) = healed.optim_wrapper.param_groups
    usual = ADAM['lr'] * (0.5 if on_return else 1)
    assert group['lr'] == pytest.approx(usual, rel=0.05)
    assert healed.param_schedulers[0].base_values == [usual if on_return else ADAM['lr']]


def test_the_state_of_the_optimizer_returns_too(tmp_path):
    """A return to the first good step, and none after it: as if nothing had been trained."""
    guard = FiniteLossGuard(patience=2, snapshot_interval=100)

    def fault(model, x, loss):
        return loss * math.nan if 4 <= model.calls <= 5 else loss

    data = batches(8)
    healed = run(tmp_path, data, fault, guard)
    assert guard.returns == 1
    rest = run(tmp_path / 'rest', data[5:])
    expected = state(rest)
    actual = state(healed)
    for name in actual:  # the snapshot is of step 1, after its forward: batch norm has seen it
        if 'running' not in name and 'tracked' not in name:
            assert torch.equal(actual[name], expected[name]), name


def test_it_gives_up_in_one_line(tmp_path):
    guard = FiniteLossGuard(patience=3, max_returns=2)
    fault = lambda model, x, loss: loss * math.nan if model.calls > 2 else loss  # noqa: E731
    with pytest.raises(FloatingPointError) as stop:
        run(tmp_path, batches(30), fault, guard)
    message = str(stop.value)
    assert message.startswith('loss_fit is nan, as in 3 steps in a row (iteration 11), after 2 ret')
    assert 'lower the learning rate' in message and '\n' not in message


def test_it_gives_up_where_no_step_was_good(tmp_path):
    with pytest.raises(FloatingPointError, match='^loss_fit is nan, .* 3 of 3 steps were skipped'):
        run(tmp_path, batches(30), lambda model, x, loss: loss * math.nan)
    assert not list(tmp_path.glob('iter_3*'))


def test_a_short_run_that_ends_in_nan_fails(tmp_path):
    fault = lambda model, x, loss: loss * math.nan if model.calls > 1 else loss  # noqa: E731
    with pytest.raises(FloatingPointError, match='loss_fit is nan in the last iteration, 1 of 2'):
        run(tmp_path, batches(2), fault)
    assert not (tmp_path / 'iter_2.pth').exists()


@pytest.mark.parametrize(
    ('late', 'max_returns', 'message'),
    [
        (False, 1, None),
        (False, 0, '^a weight is not finite, and they are to be saved'),
        (True, 1, '^a weight is not finite, no checkpoint is saved: lower'),
    ],
)
def test_nan_weights_are_never_saved(tmp_path, late, max_returns, message):
    """After a step of finite gradients: the checkpoint is of earlier weights, or there is none."""
    wreck = Wreck(3, lambda parameter: parameter.fill_(math.nan), late)
    guard = FiniteLossGuard(max_returns=max_returns)
    with pytest.raises(FloatingPointError, match=message) if message else contextlib.nullcontext():
        run(tmp_path, batches(3), guard=guard, hooks=[wreck])
    assert (tmp_path / 'iter_3.pth').exists() == (message is None)
    for file in tmp_path.glob('*.pth'):
        saved = torch.load(file, weights_only=False)['state_dict']
        assert saved['layers.0.weight'].isfinite().all()


@pytest.fixture
def amp(monkeypatch):
    """AmpOptimWrapper on the CPU: float16's loss scaling, without float16."""
    scaler = functools.partial(torch.amp.GradScaler, device='cpu')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', scaler)
    return dict(type='AmpOptimWrapper', dtype='bfloat16')


def test_overflow_of_float16_is_normal(tmp_path, amp):
    guard = FiniteLossGuard(patience=2)
    overflow = at(2, 3, 4)(NanGradient.apply)
    healed = run(tmp_path, batches(8), overflow, guard, optim=amp)
    assert (guard.overflows, guard.skipped, guard.returns) == (3, 0, 0)
    assert healed.optim_wrapper.loss_scaler.get_scale() == 2**13
    data = batches(8)
    scale = dict(**amp, loss_scale=dict(init_scale=2.0**13))
    rest = run(tmp_path / 'rest', data[:1] + data[4:], optim=scale)
    assert_same(healed.model.state_dict(), rest.model.state_dict())


def test_a_scale_that_runs_out_is_a_fault(tmp_path, amp):
    """And the scale returns with the weights."""
    guard = FiniteLossGuard(patience=2)
    amp['loss_scale'] = dict(init_scale=4.0)
    healed = run(tmp_path, batches(12), at(*range(2, 8))(NanGradient.apply), guard, optim=amp)
    assert (guard.overflows, guard.skipped, guard.returns) == (4, 2, 1)
    assert healed.optim_wrapper.loss_scaler.get_scale() == 1


@pytest.mark.parametrize('scale', ['dynamic', 1.0])
def test_nan_in_mixed_precision_is_a_fault(tmp_path, amp, scale):
    guard = FiniteLossGuard(patience=2)
    nan = at(2, 3, 6)(SPOILERS['forward'])
    run(tmp_path, batches(8), nan, guard, optim=dict(**amp, loss_scale=scale))
    assert (guard.overflows, guard.skipped, guard.returns) == (0, 3, 1)


@pytest.mark.parametrize('name', ['bfloat16', 'float32'])
def test_a_return_may_change_the_precision_for_good(tmp_path, amp, name, monkeypatch):
    monkeypatch.setattr(loops.time, 'sleep', lambda seconds: None)  # as MMEngine does on resuming
    types, bad = [], [2, 3]

    def fault(model, x, loss):
        types.append(model.layers[0](x).dtype)
        return loss * math.nan if model.calls in bad else loss

    guard = FiniteLossGuard(patience=2, on_return=name)
    healed = run(tmp_path, batches(6), fault, guard, optim=amp)
    wrapper = healed.optim_wrapper
    assert guard.returns == 1 and wrapper.loss_scaler.get_scale() == 1
    expected = getattr(torch, name)
    assert types == [torch.bfloat16] * 3 + [expected] * 3
    types.clear()
    bad.clear()
    run(tmp_path, batches(2), fault, guard, optim=amp, max_iters=8, resume=True)
    assert types == [expected] * 2


def test_every_wrapper_of_several_is_watched(tmp_path):
    class TwoSteps(Model):
        """Trains its layers one after the other, as adversarial networks do."""

        def train_step(self, data, optim_wrapper):
            losses = self(**data, mode='loss')
            optim_wrapper['a'].update_params(losses['loss_fit'])
            losses = self(**data, mode='loss')
            optim_wrapper['b'].update_params(losses['loss_fit'] * self.spoil(data))
            return losses

        def spoil(self, data):
            return math.nan if data['inputs'][0, 0] > 99 else 1.0

    data = batches(4)
    data[2]['inputs'][0, 0] = 100
    model = TwoSteps()
    parts = dict(a=model.layers[0], b=model.layers[2])
    wrappers = {
        name: OPTIM_WRAPPERS.build(
            dict(type='OptimWrapper', optimizer=torch.optim.SGD(part.parameters(), lr=0.01))
        )
        for name, part in parts.items()
    }
    guard = FiniteLossGuard()
    Runner(
        model,
        work_dir=str(tmp_path),
        train_dataloader=loader(data),
        train_cfg=dict(by_epoch=False, max_iters=4),
        optim_wrapper=OptimWrapperDict(**wrappers),
        custom_hooks=[guard],
        experiment_name=tmp_path.name,
        log_level='ERROR',
    ).train()
    assert guard.skipped == 1
    assert all(value.isfinite().all() for value in model.layers.state_dict().values())


def test_large_gradients_are_finite(tmp_path):
    """Their norm is not."""
    guard = FiniteLossGuard()
    run(tmp_path, batches(3), lambda model, x, loss: loss * 1e25, guard)
    assert (guard.steps, guard.skipped) == (3, 0)


def test_lines_get_fewer_and_name_the_images(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(FiniteLossGuard, '_log', staticmethod(lines.append))
    run(tmp_path, batches(40), at(*range(2, 40, 2))(SPOILERS['forward']))
    skipped = [line for line in lines if 'step skipped' in line]
    assert skipped[0] == 'loss_fit is nan in iteration 2: step skipped, 1 of 2 so far'
    assert len(skipped) == 6  # 1, 2, 3, 4, 8 and 16 of 19
    assert lines[-1].startswith('19 of 40 steps were skipped')


def train_in_process(rank, number, port, folder):
    """One of several processes: only in the last one, three steps are spoilt."""
    os.environ |= dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=number)
    guard = FiniteLossGuard()
    spoilers = {3: SPOILERS['forward'], 5: SPOILERS['infinite'], 6: SPOILERS['gradient']}

    def fault(model, x, loss):
        bad = rank == number - 1 and model.calls in spoilers
        return spoilers[model.calls](loss) if bad else loss

    wrapper = dict(
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None
        )
    )
    runner = run(folder, batches(8), fault, guard, launcher='pytorch', cfg=wrapper)
    result = dict(state=runner.model.module.state_dict(), skipped=guard.skipped)
    torch.save(result, folder / f'rank_{rank}.pt')
    del runner, guard
    gc.collect()  # gloo's threads end with the group only if no model refers to it
    assert not any(type(one) is MMDistributedDataParallel for one in gc.get_objects())
    torch.distributed.destroy_process_group()


def test_processes_decide_alike(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    here = Path(__file__)
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, '-c'),
                f'from pathlib import Path; from {here.stem} import train_in_process as train; '
                f'train({rank}, 2, {port}, Path({str(tmp_path)!r}))',
            ],
            cwd=here.parent,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f'rank_{rank}.pt') for rank in range(2))
    assert first['skipped'] == second['skipped'] == 3
    data = [one for i, one in enumerate(batches(8)) if i not in (2, 4, 5)]
    rest = run(tmp_path / 'rest', data)
    assert_same(first['state'], second['state'])
    assert_same(first['state'], rest.model.state_dict())


@pytest.mark.parametrize(
    'wrong',
    [
        dict(patience=0),
        dict(max_returns=-1),
        dict(snapshot_interval=0),
        dict(patience='x'),
        dict(on_return='float16'),
    ],
)
def test_arguments(wrong):
    with pytest.raises(ValueError, match=f'FiniteLossGuard: {next(iter(wrong))}='):
        FiniteLossGuard(**wrong)
