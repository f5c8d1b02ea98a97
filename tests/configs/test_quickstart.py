"""The quickstart's segmentor, as a user runs it: trained, evaluated, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from .leaves import CONFIGS, identity, leaves, read, shallow

SEGMENTORS = [path for path in leaves('quickstart') if read(path).default_scope == 'mmseg']
METRICS = ('mIoU', 'mDice', 'mFscore')


@pytest.fixture(params=SEGMENTORS, ids=identity)
def config(request, tmp_path) -> Path:
    """A config of the same name: shallow, two steps, nothing to start from."""
    (tmp_path / 'config').mkdir()
    mine = tmp_path / 'config' / request.param.name
    arch = dict(shallow(read(request.param).model.backbone.arch), _delete_=True)
    loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
    mine.write_text(
        f"_base_ = '{CONFIGS / 'quickstart' / mine.name}'\n"
        f'model = dict(backbone=dict(arch={arch}, init_cfg=None))\n'
        'train_cfg = dict(max_iters=2, val_interval=1)\n'
        'default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))\n'
        f'train_dataloader = {loader}\nval_dataloader = {loader}\ntest_dataloader = {loader}\n'
    )
    return mine


def test_trains_evaluates_and_draws(config, at_home, tool, tmp_path):
    work_dir, pickle = tmp_path / 'run', tmp_path / 'predictions.pkl'
    tool('train')([str(config), '--work-dir', str(work_dir)])
    arguments = [str(config), str(work_dir / 'iter_2.pth'), '--work-dir', str(work_dir)]
    tool('test')([*arguments, '--eval', *METRICS, '--out', str(pickle)])
    metrics = json.loads((work_dir / 'metrics.json').read_text())['metrics']
    assert all(0 <= metrics[name] <= 100 for name in METRICS)

    tool('draw_run')([str(work_dir), '--predictions', str(pickle)])
    for name in ('curves.png', 'predictions.png'):
        assert cv2.imread(str(work_dir / name)).std() > 0
