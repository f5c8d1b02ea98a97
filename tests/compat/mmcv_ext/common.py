"""What the tests of mmcv's operators share.

tests/data/mmcv_compiled_ops.npz was computed by a compiled onedl-mmcv 2.3.6 on the CPU.
"""

import functools

import numpy as np
import torch

from ... import testing

COMPILED = np.load(testing.DATA / 'mmcv_compiled_ops.npz')
HALVES = [torch.float16, torch.bfloat16]

randn = functools.partial(testing.randn, dtype=torch.float64)


def compiled(name, device='cpu', grad=False):
    return torch.from_numpy(COMPILED[name]).to(device).requires_grad_(grad)
