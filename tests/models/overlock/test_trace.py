"""torch.jit.trace takes the whole network, and what it traced computes the same."""

import pytest
import torch

from mmoverlock.models import OverLoCK

from ...testing import assert_close, randn


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('deploy', [False, True])
@pytest.mark.parametrize('out_indices', [None, (0, 1, 2, 3)])
@torch.no_grad()
def test_trace(deploy, out_indices):
    torch.manual_seed(0)
    model = OverLoCK('xxt', out_indices, deploy=deploy).eval()
    traced = torch.jit.trace(model, randn(1, 3, 64, 96))
    other = randn(1, 3, 64, 96, seed=1)
    assert_close(traced(other), model(other), 1e-5)
