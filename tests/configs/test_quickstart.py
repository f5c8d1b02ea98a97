"""The quickstart's segmentor, as a user runs it: trained, evaluated, drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import mmengine
import pytest
import torch

from .leaves import identity, leaves, read, shallow

SEGMENTORS = [path for path in leaves('quickstart') if read(path).default_scope == 'mmseg']
METRICS = ('mIoU', 'mDice', 'mFscore')


@pytest.fixture(params=SEGMENTORS, ids=identity)
def config(request, tmp_path) -> Path:
    """A config of the same name: shallow, two steps, nothing to start from."""
    cfg = read(request.param)
    cfg.model.backbone.update(init_cfg=None, arch=shallow(cfg.model.backbone.arch))
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.default_hooks.logger.interval = 1
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    mine = tmp_path / request.param.name
    cfg.dump(mine)  # without its bases: it loads faster
    return mine


def test_trains_evaluates_and_draws(config, at_home, tool, tmp_path):
    work_dir, pickle = tmp_path / 'run', tmp_path / 'predictions.pkl'
    tool('train')([str(config), '--work-dir', str(work_dir)])
    arguments = [str(config), str(work_dir / 'iter_2.pth'), '--work-dir', str(work_dir)]
    tool('test')([*arguments, '--eval', *METRICS, '--out', str(pickle)])
    metrics = json.loads((work_dir / 'metrics.json').read_text())['metrics']
    assert all(0 <= metrics[name] <= 100 for name in METRICS)

    first = mmengine.load(pickle)[0]
    assert 'seg_logits' not in first and first['pred_sem_seg']['data'].dtype == torch.uint8

    tool('draw_run')([str(work_dir), '--predictions', str(pickle)])
    for name in ('curves.png', 'predictions.png'):
        assert cv2.imread(str(work_dir / name)).std() > 0
