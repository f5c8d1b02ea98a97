"""The three libraries' own tools take our configs, as a user runs them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from torch.utils.flop_counter import FlopCounterMode

from mmoverlock.models import OverLoCK
from mmoverlock.ops import backend
from mmoverlock.ops.dynamic_conv2d.reference import matrix_products

LIBRARIES = dict(det='mmdet', seg='mmseg', cls='mmpretrain')


def run_tool(task: str, name: str, *arguments: str, cwd: Path) -> str:
    """Run a program of the library's .mim/tools; returns what it printed."""
    package = Path(importlib.util.find_spec(LIBRARIES[task]).origin).parent
    path = package / '.mim/tools' / f'{name}.py'
    code = "import mmoverlock, runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    environment = os.environ | dict(OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, '-c', code, str(path), *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize('task', LIBRARIES)
def test_get_flops(home, task):
    options = [] if task == 'det' else ['--shape', '64', '64']
    printed = run_tool(task, 'analysis_tools/get_flops', f'{task}.py', *options, cwd=home)
    assert float(re.search(r'Flops: ([\d.]+)[MG]', printed)[1]) > 0


@torch.no_grad()
def test_mmengine_counts_every_product():
    """T merged: 5.61 G multiply-adds of products, and what MMEngine estimates for the norms.

    In a trace, from which it counts, adaptive pooling is a product with matrices, too: 17 M.
    """
    model = OverLoCK('t', deploy=True).eval()
    with backend('reference'), matrix_products(), FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 3, 224, 224))
    products = counter.get_total_flops() / 2
    options = dict(show_table=False, show_arch=False)
    flops = get_model_complexity_info(model, (3, 224, 224), **options)['flops']
    assert flops == 5_660_796_868
    assert products < flops < 1.01 * products


# What mmdet and mmseg do not choose by themselves.
TTA = dict(
    det=(
        "test_evaluator = dict(metric='bbox')\n"
        'model = dict(roi_head=dict(mask_head=None, mask_roi_extractor=None))\n'
    ),
    seg=(
        "tta_model = dict(type='SegTTAModel')\n"
        "tta_pipeline = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=["
        "[dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],"
        "[dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]\n"
    ),
    cls='',
)


@pytest.mark.parametrize('task', LIBRARIES)
def test_test_time_augmentation(home, tmp_path, task):
    """The guard looks for the checkpoint's model inside the wrapper."""
    guard = "custom_hooks = [dict(type='CheckpointGuard', strict=True)]\n"
    config = tmp_path / 'tta.py'
    config.write_text(f"_base_ = '{home}/{task}.py'\n" + guard + TTA[task])
    arguments = [str(config), f'{task}.pth', '--work-dir', str(tmp_path), '--tta']
    printed = run_tool(task, 'test', *arguments, cwd=home)
    assert 'checkpoint: loaded' in printed
    assert 'missing 0' in printed
