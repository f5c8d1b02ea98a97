"""Signals that reach a launcher, and tools that have nothing to save."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mmoverlock.engine.hooks.epoch_table import read_epochs

from ..user import ROOT
from .test_tools import run_script

SEND = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Send(Hook):
    priority = 'HIGHEST'

    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, **kwargs):
        if runner.rank == 1 and runner.iter + 1 == self.step:
            os.kill(os.getppid(), signal.SIGUSR1)
            for name in os.listdir('/proc'):  # its data loader's workers
                if name.isdecimal() and f'PPid:\\t{os.getpid()}\\n' in open(f'/proc/{name}/status').read():
                    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
                        os.kill(int(name), number)
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


def test_dist_train_saves_and_goes_on(tmp_path):
    """The launcher gets SIGUSR1, all processes stop in one step, their workers notwithstanding."""
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
    done = run_script(*arguments, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f'resumed epoch: 0, iter: {step}' in done.stdout
    rows = read_epochs(tmp_path / 'work/epochs.csv')
    assert [row['epoch'] for row in rows] == [1, 2]
    (last,) = (tmp_path / 'work').glob('epoch_*.pth')
    assert torch.load(last, weights_only=False)['meta']['iter'] == 12
    assert not saved.exists()
