"""Runs that a signal stops and that go on: the same steps, images, weights and files as without it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from ast import literal_eval
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from torch import nn

from mmoverlock.cli.signals import Ended, signals_end
from mmoverlock.engine.hooks.epoch_table import read_epochs
from mmoverlock.engine.runner import build_runner
from mmoverlock.utils.signals import SAVED, Stopped

IMAGES = 20
NUMBERS = itertools.count()  # of the runs


@DATASETS.register_module()
class Noisy(BaseDataset):
    """Image 3 is `3`, its augmentation a random number."""

    def __len__(self):
        return IMAGES

    def full_init(self):
        self._fully_initialized = True

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index), torch.rand(()).item()]))

    def get_data_info(self, index):
        return dict(width=1 + index % 3, height=2)


@MODELS.register_module()
class Dropping(BaseModel):
    """With dropout; notes which images it is trained on."""

    seen: list[list[int]] = []

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        x = torch.stack(list(inputs))
        if mode != 'loss':
            return [x.sum()]
        self.seen.append(x[:, 0].int().tolist())
        return dict(loss=nn.functional.dropout(self.fc(x / IMAGES)).pow(2).mean())


@METRICS.register_module()
class Weight(BaseMetric):
    default_prefix = 'accuracy'

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results):
        return dict(top1=results[0])


@HOOKS.register_module()
class Signal(Hook):
    """Sends this process a signal in a step, from 1, or in the validation after it."""

    priority = 'HIGHEST'

    def __init__(self, step, name='SIGTERM', validation=False):
        self.step, self.name, self.validation = step, name, validation

    def after_train_iter(self, runner, **kwargs):
        if not self.validation and runner.iter + 1 == self.step:
            os.kill(os.getpid(), getattr(signal, self.name))

    def after_val_iter(self, runner, **kwargs):
        if self.validation and runner.iter == self.step:
            os.kill(os.getpid(), getattr(signal, self.name))


BASE = dict(
    model=dict(type='Dropping'),
    train_dataloader=dict(
        batch_size=3, num_workers=0, dataset=dict(type='Noisy'),
        sampler=dict(type='DefaultSampler', shuffle=True),
    ),
    val_dataloader=dict(
        batch_size=10, num_workers=0, dataset=dict(type='Noisy'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    ),
    train_cfg=dict(by_epoch=True, max_epochs=3),
    val_cfg=dict(),
    val_evaluator=dict(type='Weight'),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
    param_scheduler=dict(type='CosineAnnealingLR', T_max=21, by_epoch=False),
    default_hooks=dict(
        checkpoint=dict(
            type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='accuracy/top1'
        )
    ),
    custom_hooks=[
        dict(type='EpochTable'),
        dict(type='EMAHook', momentum=0.3),
        dict(type='EarlyStoppingHook', monitor='accuracy/top1', patience=50),
    ],
    randomness=dict(seed=3),
    log_level='ERROR',
)  # fmt: skip
ITERATIONS = dict(
    train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=16, val_interval=5),
    default_hooks=dict(checkpoint=dict(by_epoch=False, interval=10)),
)
INFINITE = dict(train_dataloader=dict(sampler=dict(type='InfiniteSampler')))
BUCKETS = dict(
    train_dataloader=dict(batch_sampler=dict(type='mmdet.AspectRatioBatchSampler')),
    custom_imports=dict(imports=['mmdet.datasets']),
)
ACCUMULATE = dict(optim_wrapper=dict(accumulative_counts=2))
NO_BEST = dict(default_hooks=dict(checkpoint=dict(save_best=None)))
WORKERS = dict(train_dataloader=dict(num_workers=2, persistent_workers=True))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda _: None)


def config(work_dir: Path, *changes: dict, resume: bool = False, **signal_at) -> Config:
    cfg = Config(deepcopy(dict(BASE, work_dir=str(work_dir), resume=resume)))
    for change in changes:
        cfg.merge_from_dict(deepcopy(change))
    cfg.experiment_name = f'preemption_{next(NUMBERS)}'
    if signal_at:
        cfg.custom_hooks.append(dict(type='Signal', **signal_at))
    return cfg


def train(cfg: Config):
    Dropping.seen.clear()
    with signals_end():  # as a command does
        runner = build_runner(cfg, strict=False)
        runner.train()
    return runner, list(Dropping.seen)


def stopped(cfg: Config) -> tuple[Stopped, list]:
    with pytest.raises(Stopped) as stop:
        train(cfg)
    return stop.value, list(Dropping.seen)


def state(runner) -> dict[str, torch.Tensor]:
    """Weights, averages, optimizer and what early stopping knows."""
    average, early = (
        next(hook for hook in runner.hooks if type(hook).__name__ == name)
        for name in ('EMAHook', 'EarlyStoppingHook')
    )
    momentum = [one['momentum_buffer'] for one in runner.optim_wrapper.optimizer.state.values()]
    tensors = [*runner.model.state_dict().values(), *average.ema_model.state_dict().values()]
    numbers = [
        early.best_score,
        early.wait_count,
        *runner.optim_wrapper.get_lr()['lr'],
        runner.iter,
    ]
    return dict(enumerate([*momentum, *tensors, *map(torch.tensor, numbers)]))


@pytest.mark.parametrize(
    ('changes', 'step', 'end'),
    [
        ([], 4, 4),  # of 7 in an epoch
        ([], 14, 14),  # the last of an epoch, before it is saved and evaluated
        ([], 21, 21),  # the last of all
        ([BUCKETS], 5, 5),
        ([ACCUMULATE], 9, 10),  # the weights change in every second step
        ([ITERATIONS], 9, 9),  # in the second round of the data
        ([ITERATIONS], 10, 10),  # where it is evaluated
        ([ITERATIONS, INFINITE], 9, 9),
        ([ITERATIONS, INFINITE, BUCKETS], 9, 9),
    ],
    ids=str,
)
def test_the_run_is_the_undisturbed_one(tmp_path, changes, step, end):
    whole, all_seen = train(config(tmp_path / 'whole', *changes))
    stop, seen = stopped(config(tmp_path / 'work', *changes, step=step))
    assert (stop.code, stop.step) == (SAVED, end)
    assert Path(stop.path).name == f'iter_{end}.pth'
    runner, rest = train(config(tmp_path / 'work', *changes, resume=True))
    assert seen + rest == all_seen
    torch.testing.assert_close(state(runner), state(whole), rtol=0, atol=0)
    files = [
        sorted(path.name for path in one.glob('*.pth'))
        for one in (tmp_path / 'whole', tmp_path / 'work')
    ]
    assert files[0] == files[1]  # what the signal had saved is replaced
    if runner.train_loop.max_epochs == 3:
        tables = [read_epochs(tmp_path / one / 'epochs.csv') for one in ('whole', 'work')]
        for row in [*tables[0], *tables[1]]:
            del row['epoch_time']
        assert tables[0] == tables[1]
        assert len(tables[0]) == 3


def test_the_order_is_kept_with_workers_and_without_a_seed(tmp_path):
    changes = [WORKERS, dict(randomness=dict(seed=None))]
    stop, seen = stopped(config(tmp_path / 'work', *changes, step=10, name='SIGUSR1'))
    assert (stop.code, stop.signal.name) == (SAVED, 'SIGUSR1')
    _, rest = train(config(tmp_path / 'work', *changes, resume=True))
    epochs = [sum((seen + rest)[first : first + 7], []) for first in (0, 7, 14)]
    assert len(seen + rest) == 21
    assert [sorted(epoch) for epoch in epochs] == [list(range(IMAGES))] * 3


@pytest.mark.parametrize('changes', [[], [NO_BEST], [ITERATIONS]], ids=str)
def test_a_broken_validation_is_made_up_for(tmp_path, changes):
    step = 10 if ITERATIONS in changes else 14
    whole, all_seen = train(config(tmp_path / 'whole', *changes))
    stop, seen = stopped(config(tmp_path / 'work', *changes, step=step, validation=True))
    assert (stop.code, stop.step, len(seen)) == (SAVED, step, step)
    runner, rest = train(config(tmp_path / 'work', *changes, resume=True))
    assert seen + rest == all_seen
    torch.testing.assert_close(state(runner), state(whole), rtol=0, atol=0)
    if ITERATIONS not in changes:
        rows = read_epochs(tmp_path / 'work/epochs.csv')
        assert [row['acc_top1'] for row in rows] == [
            row['acc_top1'] for row in read_epochs(tmp_path / 'whole/epochs.csv')
        ]


def test_stopped_twice(tmp_path):
    whole, all_seen = train(config(tmp_path / 'whole'))
    _, first = stopped(config(tmp_path / 'work', step=9))
    _, second = stopped(config(tmp_path / 'work', resume=True, step=12, name='SIGINT'))
    assert sorted(path.name for path in (tmp_path / 'work').glob('[!b]*.pth')) == [
        'epoch_1.pth',
        'iter_12.pth',
    ]
    runner, rest = train(config(tmp_path / 'work', resume=True))
    assert first + second + rest == all_seen
    torch.testing.assert_close(state(runner), state(whole), rtol=0, atol=0)


@pytest.mark.parametrize('name', ['SIGHUP', 'SIGUSR2', 'SIGXCPU'])
def test_other_signals_save(tmp_path, name):
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)  # the tests may run under nohup
    try:
        stop, _ = stopped(config(tmp_path / 'work', step=2, name=name))
        assert (stop.code, stop.signal.name, stop.step) == (SAVED, name, 2)
        assert Path(stop.path).is_file()
        signal.signal(getattr(signal, name), signal.SIG_IGN)
        train(config(tmp_path / 'ignored', step=2, name=name))  # goes on to its end
    finally:
        signal.signal(getattr(signal, name), before)


def test_without_a_checkpoint_hook(tmp_path):
    cfg = config(tmp_path / 'work', step=4)
    cfg.default_hooks.checkpoint = None
    stop, _ = stopped(cfg)
    assert Path(stop.path).name == 'iter_4.pth'
    assert (tmp_path / 'work/last_checkpoint').read_text() == stop.path


def test_another_batch_size(tmp_path, caplog):
    _, seen = stopped(config(tmp_path / 'work', step=9))  # 6 images of the second epoch
    changes = dict(train_dataloader=dict(batch_size=4))
    runner, rest = train(config(tmp_path / 'work', changes, resume=True))
    assert runner.iter == runner.max_iters == 15
    assert len(rest) == 9  # of 10 in two epochs
    epoch = sum(seen[7:] + rest[:4], [])
    assert set(epoch) == set(range(IMAGES))
    assert len(epoch) == IMAGES + 2


def test_a_checkpoint_of_another_tool(tmp_path):
    """It does not say where in the epoch it was saved, which begins again: no step too many."""
    stop, _ = stopped(config(tmp_path / 'work', step=9))
    checkpoint = torch.load(stop.path, weights_only=False)
    del checkpoint['meta']['position']
    torch.save(checkpoint, stop.path)
    runner, rest = train(config(tmp_path / 'work', resume=True))
    assert len(rest) == 14
    assert runner.iter == runner.max_iters == 21


def join(rank: int, folder: str) -> None:
    """One of two processes, of which the second gets a signal; each writes down what it has seen."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f'{folder}/store', 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)
    work_dir = Path(folder, 'work')
    try:
        cfg = config(work_dir, step=2, **(dict() if rank else dict(name='SIGCONT')))
        cfg.experiment_name = f'rank{rank}'
        stop, first = stopped(cfg)
        cfg = config(work_dir, resume=True)
        cfg.experiment_name = f'rank{rank}again'
        cfg.load_from = stop.path
        runner, rest = train(cfg)
        result = [
            stop.code,
            stop.step,
            runner.iter,
            len(first),
            len(rest),
            *sum(first + rest[:2], []),
        ]
    except BaseException as error:
        result = [repr(error)]
        raise
    finally:
        Path(folder, f'{rank}.txt').write_text(repr(result))
        os._exit(0)


def test_two_processes_stop_in_the_same_step(tmp_path):
    here = Path(__file__)
    processes = [  # a forked process cannot train where this one's gradients have had threads
        subprocess.Popen(
            [
                *(sys.executable, '-c'),
                f'from {here.stem} import join; join({rank}, {str(tmp_path)!r})',
            ],
            cwd=here.parent,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    results = [literal_eval((tmp_path / f'{rank}.txt').read_text()) for rank in (0, 1)]
    assert [one[:5] for one in results] == [[SAVED, 2, 12, 2, 10]] * 2
    assert sorted(results[0][5:] + results[1][5:]) == list(range(IMAGES))


def test_a_signal_before_the_first_step_ends_at_once(tmp_path):
    class Early(Hook):
        def before_train(self, runner):
            os.kill(os.getpid(), signal.SIGTERM)

    HOOKS.register_module(name='Early', module=Early, force=True)
    cfg = config(tmp_path / 'work')
    cfg.custom_hooks.append(dict(type='Early'))
    with pytest.raises(Ended) as end:
        train(cfg)
    assert end.value.code == 143
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_handlers_are_given_back(tmp_path):
    before = [
        signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    ]
    train(config(tmp_path / 'whole'))
    stopped(config(tmp_path / 'work', step=2, name='SIGINT'))
    assert before == [
        signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    ]


@HOOKS.register_module()
class Pooling(Hook):
    """Ends a process that was forked in the training by SIGTERM, as multiprocessing's pools do."""

    codes: list[int | None] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 0:
            worker = multiprocessing.get_context('fork').Process(target=signal.pause)
            worker.start()
            worker.terminate()
            worker.join(10)
            self.codes.append(worker.exitcode)
            worker.kill()


def test_a_pool_in_a_training_can_end(tmp_path):
    cfg = config(tmp_path / 'work')
    cfg.custom_hooks.append(dict(type='Pooling'))
    train(cfg)
    assert Pooling.codes and {*Pooling.codes} == {-signal.SIGTERM}
