"""The layers of an MLP against their formulas, in every layout and precision."""

from __future__ import annotations

import pytest
import torch

from mmoverlock.ops import GRN, backend
from mmoverlock.ops.conv_mlp import layers

from ...testing import LAYOUTS, assert_close, randn

SHAPES = [(2, 5, 7, 6), (1, 40, 31, 9), (3, 16, 1, 1)]
LIMITS = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2, torch.float16: 2e-2}


def formula(x, norm):
    dtype = torch.promote_types(x.dtype, torch.float32)
    length = x.to(dtype).square().sum((2, 3), keepdim=True).sqrt()
    relative = length / (length.mean(1, keepdim=True) + 1e-6)
    return (x * (1 + norm.gamma * relative) + norm.beta).to(x.dtype)


def make(shape, dtype=torch.float32, layout='channels_last'):
    norm = GRN(shape[1]).to(torch.promote_types(dtype, torch.float32))
    for seed, parameter in enumerate(norm.parameters()):
        parameter.data.copy_(randn(*parameter.shape, seed=seed))
    x = (randn(*shape, seed=2) + 0.3).to(dtype).contiguous(memory_format=LAYOUTS[layout])
    return x.detach().requires_grad_(), norm


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', LIMITS, ids=str)
@pytest.mark.parametrize('shape', SHAPES)
def test_output_and_gradients(shape, dtype, layout):
    x, norm = make(shape, dtype, layout)
    inputs = [x, *norm.parameters()]
    weights = randn(*shape, seed=3)
    told = []
    for out in (norm(x), formula(x, norm)):
        loss = (out.double() * weights).sum()
        told.append([out, *torch.autograd.grad(loss, inputs)])
    assert_close(*told, LIMITS[dtype])


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', LIMITS, ids=str)
@pytest.mark.parametrize('shape', SHAPES)
def test_inference_overwrites_the_input_strip_by_strip(shape, dtype, layout, monkeypatch):
    monkeypatch.setattr(layers, 'STRIP_BYTES', 1000)
    x, norm = make(shape, dtype, layout)
    with torch.no_grad():
        wanted, x = formula(x, norm), x.detach()
        with backend('reference'):
            assert_close(norm(x), wanted, LIMITS[dtype])
        out = norm(x)
    assert out.data_ptr() == x.data_ptr()
    assert_close(out, wanted, LIMITS[dtype])


def test_a_channel_of_zeros_has_finite_gradients():
    x, norm = make((2, 4, 6, 6))
    with torch.no_grad():
        x[:, 1] = 0
    norm(x).sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (x, *norm.parameters()))


@pytest.mark.parametrize('gradients', [False, True])
def test_empty_batch(gradients):
    with torch.set_grad_enabled(gradients):
        assert GRN(4)(torch.randn(0, 4, 6, 6)).shape == (0, 4, 6, 6)


def test_one_map_is_kept_for_the_backward_pass():
    x, norm = make((2, 8, 16, 16))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        norm(x)
    assert len({tensor.data_ptr() for tensor in kept if tensor.numel() >= x.numel()}) == 1
