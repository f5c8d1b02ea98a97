"""An exported network takes images of any size, in batches of any size, and computes the same.

tests/deploy/test_export.py goes on to ONNX.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.export import Dim

from mmoverlock.models import OverLoCK
from mmoverlock.models.overlock import get_arch
from mmoverlock.ops import backend

from ...testing import assert_close, randn

# A block of each kind. Maps are smaller than the kernels up to 112 and 160 pixels.
SMALL = replace(
    get_arch('xxt'),
    depth=(1, 1, 1, 1),
    sub_depth=(1, 1),
    embed_dim=(8, 16, 32, 32),
    kernel_size=(5, 5, 7, 5),
    mlp_ratio=(2, 2, 2, 2),
    sub_num_heads=(2, 2),
    sub_mlp_ratio=(2, 2),
)
EXAMPLE = 2, 3, 128, 128
SHAPES = [(1, 3, 33, 70), (3, 3, 97, 320), (1, 3, 200, 180)]


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return OverLoCK(SMALL, (0, 1, 2, 3), fuse_overview=True, deploy=True).eval()


@pytest.fixture(scope='module')
def program(network):
    """From 33 pixels on: PyTorch's fake convolution does not want the last map to be 1 wide."""
    batch = Dim('batch', min=1, max=64)
    height, width = (Dim(name, min=33, max=4096) for name in ('height', 'width'))
    shapes = {'image': {0: batch, 2: height, 3: width}}
    with torch.no_grad():
        return torch.export.export(network, (randn(*EXAMPLE),), dynamic_shapes=shapes)


@torch.no_grad()
def test_torch_export(network, program):
    exported = program.module()
    for shape in SHAPES:
        image = randn(*shape)
        with backend('reference'):
            assert_close(exported(image), network(image), 1e-6)
