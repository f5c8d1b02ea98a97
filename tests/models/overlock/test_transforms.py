"""torch.func's transforms, gradients of gradients, and sharded parameters."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mmoverlock.models import OverLoCK
from mmoverlock.models.overlock import get_arch
from mmoverlock.ops import backend, explain

from ...testing import assert_close, randn

XXT = replace(get_arch('xxt'), depth=(1, 1, 1, 1), sub_depth=(1, 1))  # a block of each kind


@pytest.fixture
def model() -> OverLoCK:
    torch.manual_seed(0)
    return OverLoCK(XXT, out_indices=(0, 1, 2, 3), fuse_overview=True).double().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return randn(2, 1, 3, 32, 64, dtype=torch.float64)


def test_vmap(model, images):
    with torch.no_grad():
        with backend('reference'):
            expected = [torch.stack(maps) for maps in zip(*map(model, images), strict=True)]
        assert_close(list(torch.func.vmap(model)(images)), expected, 1e-8)


def test_gradients_of_every_image(model, images):
    """vmap of grad, as differential privacy needs them."""
    parameters = dict(model.named_parameters())

    def loss(parameters, image):
        maps = torch.func.functional_call(model, parameters, (image,))
        return sum(one.square().mean() for one in maps)

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, images)
    with backend('reference'):
        expected = [
            torch.autograd.grad(loss(parameters, image), parameters.values()) for image in images
        ]
    assert_close(list(found.values()), [torch.stack(one) for one in zip(*expected, strict=True)])


def test_explain_says_why(model, images):
    run = torch.nn.Module()
    run.forward = torch.func.vmap(model)
    told = explain(run.eval(), images)
    assert told.backends('contmix') == {'reference'}
    assert told.reasons('contmix', 'numba') == {'compiled kernels have no rules for torch.func'}


def test_gradient_penalty(model, images):
    """In training mode, where the fused operators run."""
    image = images.flatten(0, 1).requires_grad_()
    model.train()

    def penalty():
        score = sum(one.square().mean() for one in model(image))
        (grad,) = torch.autograd.grad(score, image, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), model.parameters(), allow_unused=True)

    with backend('reference'):
        expected = penalty()
    for found, wanted in zip(penalty(), expected, strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            assert_close(found, wanted, 1e-6, floor=1e-12)


SHARDED = """
import gc, mmoverlock, torch
from torch import distributed
from torch.distributed.fsdp import fully_shard
from mmoverlock.models import OverLoCK
from mmoverlock.ops import explain

distributed.init_process_group('gloo')
mesh = distributed.device_mesh.init_device_mesh('cpu', (2,))
torch.manual_seed(0)
model, image = OverLoCK('xxt').eval(), torch.randn(1, 3, 64, 64)


def gradient():
    sum(one.square().mean() for one in model(image)).backward()
    grad = model.base_net.patch_embed1[0].weight.grad
    return grad.full_tensor() if hasattr(grad, 'full_tensor') else grad


with torch.no_grad():
    expected = model(image)
gradients = [gradient()]
model.zero_grad()
for one in (model.base_net, model.overview_net, model.focus_net, model):
    fully_shard(one, mesh=mesh)
for actual, wanted in zip(model(image), expected):
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)
gradients.append(gradient())
torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
assert 'numba' in explain(model, image).backends('contmix')
del model, one
gc.collect()  # gloo's threads end with the group only if no model refers to it
distributed.destroy_process_group()
"""


def test_sharded_parameters(tmp_path):
    """FSDP2 frees the memory of a parameter after use, which numpy must not hold."""
    (tmp_path / 'sharded.py').write_text(SHARDED)
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--standalone']
    done = subprocess.run(
        [*launch, str(tmp_path / 'sharded.py')],
        env=os.environ | dict(OMP_NUM_THREADS='1'), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
