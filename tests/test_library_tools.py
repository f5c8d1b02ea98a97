"""The three libraries' own tools take our configs, as a user runs them."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.analysis import get_model_complexity_info
from torch.utils.flop_counter import FlopCounterMode

from mmoverlock.models import OverLoCK
from mmoverlock.ops import backend
from mmoverlock.ops.dynamic_conv2d.reference import matrix_products

LIBRARIES = dict(det='mmdet', seg='mmseg', cls='mmpretrain')
MARK = '=== next'
# Programs in turn, in one process: importing the libraries takes longer than they do.
RUN = f"""
import json, runpy, sys
import mmoverlock
for program, *arguments in json.load(sys.stdin):
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name='__main__')
    print('{MARK}', flush=True)
"""


def run_tool(name: str, arguments: dict[str, list[str]], cwd: Path) -> dict[str, str]:
    """Run a program of the .mim/tools of the tasks' libraries; returns what each printed."""
    programs = []
    for task, options in arguments.items():
        package = Path(importlib.util.find_spec(LIBRARIES[task]).origin).parent
        programs.append([str(package / f'.mim/tools/{name}.py'), *options])
    done = subprocess.run(
        [sys.executable, '-c', RUN],
        cwd=cwd, env=os.environ | dict(OMP_NUM_THREADS='1'), input=json.dumps(programs),
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(arguments, done.stdout.split(MARK), strict=False))


def test_get_flops(home):
    size = ['--shape', '64', '64']
    arguments = dict(det=['det.py'], seg=['seg.py', *size], cls=['cls.py', *size])
    for printed in run_tool('analysis_tools/get_flops', arguments, home).values():
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


def test_test_time_augmentation(home, tmp_path):
    """The guard looks for the checkpoint's model inside the wrapper."""
    guard = "custom_hooks = [dict(type='CheckpointGuard', strict=True)]\n"
    arguments = {}
    for task, text in TTA.items():
        config = tmp_path / f'tta_{task}.py'
        config.write_text(f"_base_ = '{home}/{task}.py'\n" + guard + text)
        arguments[task] = [str(config), f'{task}.pth', '--work-dir', str(tmp_path / task), '--tta']
    for printed in run_tool('test', arguments, home).values():
        assert 'checkpoint: loaded' in printed
        assert 'missing 0' in printed
