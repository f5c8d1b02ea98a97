"""Two processes train a classifier as one does, for the same global batch and seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmoverlock.engine.hooks.epoch_table import read_epochs

ROOT = Path(__file__).parents[2]
# VOLO, because a batch norm's statistics are each process's own; nothing random but order and weights.
CONFIG = f"""
_base_ = '{ROOT}/configs/quickstart/volo-flat_digits.py'
_base_.train_dataloader.dataset.pipeline.pop(1)  # the random crop
model = dict(backbone=dict(drop_path_rate=0.0))
train_cfg = dict(max_epochs=5)
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(indices=128))
val_dataloader = dict(dataset=dict(indices=8))
"""
GLOBAL_BATCH = 32  # 5 epochs of 4 steps


def losses(work_dir: Path, processes: int) -> list[float]:
    """The mean loss of every epoch, over all steps and processes."""
    config = work_dir.with_suffix('.py')
    config.write_text(CONFIG)
    tool = [sys.executable, ROOT / 'tools/train.py', config]
    if processes > 1:
        tool = ['bash', ROOT / 'tools/dist_train.sh', config, str(processes)]
    done = subprocess.run(
        [*tool, '--work-dir', work_dir, '--seed', '0', '--cfg-options',
         f'train_dataloader.batch_size={GLOBAL_BATCH // processes}'],
        env=dict(os.environ, PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}'),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [row['train_loss'] for row in read_epochs(work_dir / 'epochs.csv')]


def test_same_losses(tmp_path):
    one, two = losses(tmp_path / 'one', 1), losses(tmp_path / 'two', 2)
    assert len(one) == 5 and one[-1] < one[0]
    assert two == pytest.approx(one, abs=1e-3)
