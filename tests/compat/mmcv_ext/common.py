"""What the tests of mmcv's operators share.

tests/data/mmcv_compiled_ops.npz was computed by a compiled onedl-mmcv 2.3.6 on the CPU.
"""

import functools

import numpy as np
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_map_only

from ... import testing

COMPILED = np.load(testing.DATA / 'mmcv_compiled_ops.npz')
HALVES = [torch.float16, torch.bfloat16]

randn = functools.partial(testing.randn, dtype=torch.float64)


def compiled(name, device='cpu', grad=False):
    return torch.from_numpy(COMPILED[name]).to(device).requires_grad_(grad)


def bilinear(plane, y, x):
    """mmcv's value between pixels, differentiable by the map: the border reaches one pixel out."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return plane.new_zeros(())
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    above = plane[y0, x0] * (1 - x + x0) + plane[y0, x1] * (x - x0)
    below = plane[y1, x0] * (1 - x + x0) + plane[y1, x1] * (x - x0)
    return above * (1 - y + y0) + below * (y - y0)


def run_fake(function, *arguments, device):
    """Result of a function whose tensors hold no numbers.

    An operation of the CPU alone, a copy between devices or a shape that depends on numbers raises.
    Gradients cannot be had on a fake 'cuda' without a real one; on 'meta' they can.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        return function(
            *tree_map_only(
                torch.Tensor,
                lambda x: torch.empty_like(x, device=device, requires_grad=x.requires_grad),
                arguments,
            )
        )


def assert_runs_on_any_device(function, *arguments):
    """Forward on a fake GPU, forward and backward without numbers; results are on the device."""
    assert run_fake(function, *arguments, device='cuda').device.type == 'cuda'

    def grads(*tensors):
        leaves = [x for x in tensors if isinstance(x, torch.Tensor) and x.requires_grad]
        return torch.autograd.grad(function(*tensors).sum(), leaves) if leaves else []

    assert all(grad.device.type == 'meta' for grad in run_fake(grads, *arguments, device='meta'))
