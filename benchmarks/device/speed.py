"""Speed and memory, by the other programs of benchmarks/ and the package's own."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from mmoverlock import ops

from .setting import Rows, Setting, Skip

ROOT = Path(__file__).parents[2]


def benchmark(setting: Setting, name: str, small: list[str], *options: str) -> Rows:
    """The rows of another program of this folder; `small` are its options when it runs in small.

    In small, Triton's interpreter is left out: its times say nothing.
    """
    options = [*small, '--rounds', '1'] if setting.tiny else [*options, '--rounds', '9']
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        os.environ.pop('TRITON_INTERPRET', None)
        importlib.import_module(name).main([*options, '--device', setting.device, '--out', folder])
        (file,) = Path(folder).glob('*.json')
        rows = json.loads(file.read_text())['rows']
    for row in rows:
        yield {
            key: row[key]
            for key in ('case', 'rival', 'median_ms', 'speed_up', 'peak_mb', 'roofline')
        }


HALF = '--dtype', 'bfloat16'


def contmix_speed(setting: Setting) -> Rows:
    """ContMix and the dynamic convolution alone: T at 224², batch 128, and at 800×1344, batch 2."""
    small = '--shape 1 1 2 2 5 5 3'.split()
    for shape in ('128 4 16 16 14 14 13', '2 8 16 16 50 84 13'):
        yield from benchmark(setting, 'contmix', small, '--shape', *shape.split(), *HALF)
        if setting.tiny:
            break


def training_speed(setting: Setting) -> Rows:
    """A training step of T at 224², batch 128, mixed precision; timm's networks beside it."""
    small = '--arch xxt --skip-inference --train 64,64,2'.split()
    options = '--skip-inference --train 224,224,128 --compile'.split()
    yield from benchmark(setting, 'model', small, *options, *HALF)


def branches_speed(setting: Setting) -> Rows:
    """Large kernels with their branches and batch norms, forward and backward."""
    shapes = '--shapes', '128,64,56,56,17', '128,256,14,14,13'
    yield from benchmark(setting, 'branches', ['--shapes', '1,2,4,4,5'], *shapes, *HALF)


def mask_rcnn(setting: Setting) -> Rows:
    """A training step of Mask R-CNN with T at 800×1344, batch 2, mixed precision."""
    if find_spec('mmdet') is None:
        raise Skip('mmdet is not installed')
    from mmoverlock.analysis.benchmark import benchmark as of_config
    from mmoverlock.utils.config import read_config

    if setting.tiny:
        config = 'quickstart/mask-rcnn_overlock-xxt_fpn_digits.py'
        options = dict(size=(64, 64), batch_size=1, iters=1, warmup=1)
    else:
        config = 'maskrcnn_overlock/mask_rcnn_overlock_t_in1k_fpn_1x_coco.py'
        options = dict(size=(800, 1344), batch_size=2, iters=8, warmup=3)
    options |= dict(train=True, device=setting.device, amp='float16' if setting.cuda else None)
    for backend in ('auto', 'reference'):
        with ops.backend(backend):
            found = of_config(read_config(ROOT / 'configs' / config), **options)
        yield dict(
            backend=backend,
            images_per_second=found.images_per_second,
            peak_mb=found.peak_memory_mb,
            slow='; '.join(found.slow),
        )


def inference_speed(setting: Setting) -> Rows:
    """T merged, mixed precision: 224², batch 128, and 800×1344."""
    small = '--arch xxt --skip-training --sizes 64,64,1'.split()
    options = '--skip-training --sizes 224,224,128 800,1344,1 --compile'.split()
    yield from benchmark(setting, 'model', small, *options, *HALF)


def depthwise_speed(setting: Setting) -> Rows:
    """Depthwise convolutions with large kernels against cuDNN."""
    shapes = '--shapes', '128,64,56,56,17,1', '128,256,14,14,13,1', '1,256,50,84,13,1'
    yield from benchmark(setting, 'depthwise', ['--shapes', '1,2,4,5,3,1'], *shapes, *HALF)
