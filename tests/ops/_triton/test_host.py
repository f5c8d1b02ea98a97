"""What the CPU does in a training step on a GPU: start kernels, and never wait for one.

The kernels are left out, so that this runs in a moment anywhere.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip('triton')

from mmoverlock import ops
from mmoverlock.models import OverLoCK, OverLoCKHead
from mmoverlock.models.overlock import get_arch

XXT = replace(get_arch('xxt'), depth=(1, 1, 1, 1), sub_depth=(1, 1))  # a block of each kind
MODULES = [
    import_module(f'mmoverlock.ops.{file.parent.name}.triton_gpu')
    for file in Path(ops.__file__).parent.glob('*/triton_gpu.py')
]
# Each waits until the GPU has computed what is asked for.
WAITS = 'item tolist numpy cpu nonzero __bool__ __int__ __float__ __index__ __contains__'.split()


def train_step(model, head):
    features = model(torch.randn(2, 3, 64, 64))
    logits = head(features) + 0.4 * head.forward_aux(features)
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()


def test_nothing_waits():
    model, head = OverLoCK(XXT).train(), OverLoCKHead(10, XXT).train()
    launched = []

    def launch(kernel, grid, *args, **constants):
        launched.append(kernel.base_fn.__name__)

    ours = dict(contmix='triton', dilated_branches='triton')
    with ops.backend('reference', **ours), ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(mock.patch.object(module, 'launch', launch))
        train_step(model, head)  # what is kept for the next steps is made in the first
        launched.clear()
        for name in WAITS:
            wait = mock.Mock(side_effect=AssertionError(f'Tensor.{name} waits for the GPU'))
            stack.enter_context(mock.patch.object(Tensor, name, wait))
        wait = mock.Mock(side_effect=AssertionError('the step waits for the GPU'))
        stack.enter_context(mock.patch('torch.cuda.synchronize', wait))
        train_step(model, head)
    assert {
        'contmix_forward',
        'contmix_grad_value',
        'convolve_branches',
        'correlate_branches',
    } <= set(launched)
