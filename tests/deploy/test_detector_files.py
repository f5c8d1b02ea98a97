"""Detectors as files: boxes of batches and sizes other than the example's, in every runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmoverlock.deploy.agreement import detection
from mmoverlock.deploy.detector import ExportedDetector
from mmoverlock.deploy.formats import Settings, format_of
from mmoverlock.runtime.spec import Spec

from .detectors import detector, picture

SHAPES = [(1, 160, 96), (3, 77, 50), (2, 32, 32)]
# Three levels of the pyramid, not five: exporting takes seconds for each.
LEVELS = {'neck.start_level': 2, 'neck.num_outs': 3}
STRIDES = [16, 32, 64]


def few_levels(kind: str) -> dict:
    if kind == 'retinanet':
        return LEVELS | {'bbox_head.anchor_generator.strides': STRIDES}
    extractors = {
        f'roi_head.{part}_roi_extractor.featmap_strides': STRIDES[:2] for part in ('bbox', 'mask')
    }
    return LEVELS | extractors | {'rpn_head.anchor_generator.strides': STRIDES}


@pytest.mark.parametrize(
    'kind, format',
    [('mask', 'onnx'), ('retinanet', 'torch-export'), ('retinanet', 'torchscript')],
)
def test_a_file_takes_any_batch_and_size(kind, format, tmp_path):
    module = ExportedDetector(detector(kind, **few_levels(kind))).eval().requires_grad_(False)
    writer = format_of(format)
    for name in writer.NEEDS:
        pytest.importorskip(name)
    path = tmp_path / f'model{writer.SUFFIX}'
    writer.write(module, picture(2, 264, 328), Spec('detection', ()), path, Settings(dynamic=True))
    run = writer.run(path)
    nothing = torch.zeros(1, 3, 64, 64)
    for image in [picture(*shape) for shape in SHAPES] + [nothing]:
        expected = [one.numpy() for one in module(image)]
        lines = detection(
            dict(zip(module.outputs, expected, strict=True)), run(image.numpy()), 1e-3
        )
        assert all(line.good for line in lines), '; '.join(map(str, lines))
    assert (lines[-1].number > 0) == bool(np.any(expected[1]))
