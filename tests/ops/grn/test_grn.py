"""GRN: output and gradients against the formula, in every layout and precision."""

from __future__ import annotations

import pytest
import torch

from mmoverlock.ops import grn
from mmoverlock.ops.dispatch import recording
from mmoverlock.ops.grn.numba_kernels import STRIP

from ...testing import LAYOUTS, assert_close


def formula(x, gamma, beta, eps=1e-6):
    norm = (
        x.to(torch.promote_types(x.dtype, torch.float32)).square().sum((2, 3), keepdim=True).sqrt()
    )
    return x * (1 + gamma * norm / (norm.mean(1, keepdim=True) + eps)) + beta


def make(shape, dtype, layout):
    generator = torch.Generator().manual_seed(0)
    draws = [shape, (1, shape[1], 1, 1), (1, shape[1], 1, 1), shape]
    x, gamma, beta, grad = (torch.randn(s, generator=generator).to(dtype) for s in draws)
    x = (x + 0.3).contiguous(memory_format=LAYOUTS[layout])
    return [t.requires_grad_() for t in (x, gamma.float(), beta.float())], grad


def run(function, inputs, grad):
    for tensor in inputs:
        tensor.grad = None
    out = function(*inputs)
    out.backward(grad.to(out.dtype))
    return [out.detach().float(), *(tensor.grad.float() for tensor in inputs)]


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(2, 5, 7, 6), (1, 40, STRIP // 8, 9), (3, 16, 1, 1)])
def test_agrees_with_the_formula(shape, dtype, layout):
    inputs, grad = make(shape, dtype, layout)
    limit = 2e-5 if dtype == torch.float32 else 2e-2
    assert_close(run(grn, inputs, grad), run(formula, inputs, grad), limit)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('shape', [(2, 5, 7, 6), (1, 40, STRIP // 8, 9), (3, 16, 1, 1)])
def test_numba_in_inference(shape, dtype):
    (x, gamma, beta), _ = make(shape, dtype, 'channels_last')
    with torch.no_grad(), recording() as records:
        out = grn(x, gamma, beta)
    assert [record.backend for record in records] == ['numba']
    assert_close(out, formula(x, gamma.to(dtype), beta.to(dtype)), 2e-5)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_channel_of_zeros_has_finite_gradients(layout):
    (x, gamma, beta), grad = make((2, 4, 6, 6), torch.float32, layout)
    with torch.no_grad():
        x[:, 1] = 0
    assert all(tensor.isfinite().all() for tensor in run(grn, (x, gamma, beta), grad))


def test_overwrites_its_input_when_asked():
    (x, gamma, beta), _ = make((2, 4, 6, 6), torch.float32, 'channels_last')
    with torch.no_grad():
        wanted = formula(x, gamma, beta)
        out = grn(x, gamma, beta, inplace=True)
    assert out.data_ptr() == x.data_ptr()
    torch.testing.assert_close(out, wanted)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_one_weight_for_all_channels(layout):
    (x, _, _), _ = make((2, 19, 6, 6), torch.float32, layout)
    gamma, beta = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), -1.0)
    with torch.no_grad():
        torch.testing.assert_close(grn(x, gamma, beta), formula(x, gamma, beta))


def test_empty_batch():
    x = torch.randn(0, 4, 6, 6, requires_grad=True)
    grn(x, torch.ones(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)).sum().backward()
    assert x.grad.shape == x.shape


def test_one_map_is_kept_for_the_backward_pass():
    (x, gamma, beta), _ = make((2, 8, 16, 16), torch.float32, 'channels_last')
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        grn(x, gamma, beta)
    assert len({tensor.data_ptr() for tensor in kept if tensor.numel() >= x.numel()}) == 1
