"""Signals that reach a launcher, and tools that have nothing to save."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from mmoverlock.engine.hooks.epoch_table import read_epochs
from mmoverlock.utils.signals import SIGNALS

from ..user import ROOT, snapshot
from .test_tools import run_script

SEND = """
import os, signal, subprocess, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmoverlock.utils.signals import SIGNALS

@HOOKS.register_module()
class Send(Hook):
    priority = 'HIGHEST'

    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, **kwargs):
        if runner.rank == 1 and runner.iter + 1 == self.step:
            (worker,) = runner.train_dataloader._iterator._workers
            for number in SIGNALS:  # not from the worker's parent, which may end it
                subprocess.run(['kill', f'-{int(number)}', str(worker.pid)], check=True)
            os.kill(os.getppid(), signal.SIGUSR1)
            time.sleep(1)  # until the launcher has passed it on
            assert worker.is_alive()
"""
CONFIG = f"""
_base_ = '{ROOT}/configs/quickstart/volo-flat_digits.py'
custom_imports = dict(imports=['mmoverlock', 'send'])
train_cfg = dict(max_epochs=2)
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(indices=96))  # 6 steps of 2 x 8
val_dataloader = dict(dataset=dict(indices=8))
custom_hooks = [*_base_.custom_hooks, dict(type='Send', step=4)]
randomness = dict(_delete_=True, seed=None)
"""


def test_dist_train_saves_and_goes_on(tmp_path, tool, monkeypatch):
    """The launcher gets SIGUSR1, all processes stop in one step, their workers notwithstanding.

    One process alone goes on: its steps are half as large.
    """
    (tmp_path / 'send.py').write_text(SEND)
    (tmp_path / 'config.py').write_text(CONFIG)
    path = f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'
    arguments = ['dist_train.sh', 'config.py', '2', '--work-dir', 'work', '--auto-resume']
    done = run_script(*arguments, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 75, done.stderr[-2000:]
    (line,) = [line for line in done.stderr.splitlines() if 'SIGUSR1' in line]
    saved = Path(line.split("'")[1])
    assert saved.name in ('iter_4.pth', 'iter_5.pth')
    step = int(saved.stem.removeprefix('iter_'))
    assert line == (
        f"stopped by SIGUSR1 after step {step}, saved '{saved}': go on with --resume (exit code 75)"
    )
    assert 'Traceback' not in done.stderr and 'error' not in done.stderr
    assert torch.load(tmp_path / saved, weights_only=False)['meta']['epoch'] == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    tool('train')(['config.py', '--work-dir', 'work', '--auto-resume'])  # one process
    logs = [path.read_text() for path in tmp_path.glob('work/*/*.log')]
    assert sum(f'resumed epoch: 0, iter: {2 * step}' in log for log in logs) == 1
    rows = read_epochs(tmp_path / 'work/epochs.csv')
    assert [row['epoch'] for row in rows] == [1, 2]
    (last,) = (tmp_path / 'work').glob('epoch_*.pth')
    assert torch.load(last, weights_only=False)['meta']['iter'] == 24
    assert not saved.exists()


@pytest.fixture(params=SIGNALS)
def number(request):
    """A signal that is not ignored, as SIGHUP is under nohup."""
    before = signal.getsignal(request.param)
    if before is signal.SIG_IGN:
        signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize(
    ('name', 'function', 'arguments'),
    [
        ('train', 'cli.train.preflight', ['det.py', '--work-dir', 'never']),
        ('test', 'cli.test.preflight', ['det.py', 'det.pth', '--work-dir', 'never']),
        (
            'infer',
            'apis.Inferencer',
            ['det.py', 'det.pth', 'data/digits_scenes/val', '--out', 'never'],
        ),
        ('prepare_data', 'cli.prepare.prepare', ['digits_scenes', '--root', 'never']),
    ],
)
def test_nothing_to_save(at_home, tool, monkeypatch, capsys, number, name, function, arguments):
    """The tool ends at once and leaves nothing."""
    before = snapshot(at_home)
    monkeypatch.setattr(f'mmoverlock.{function}', lambda *_, **__: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as stop:
        tool(name)(arguments)
    assert stop.value.code == 128 + number
    assert 'Traceback' not in capsys.readouterr().err
    assert snapshot(at_home) == before
