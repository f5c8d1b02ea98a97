"""Branches and their batch norms in one operator, against PyTorch's formulas."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmoverlock.ops import DepthwiseConv2d, dilated_branches
from mmoverlock.ops.dilated_branches import numba_cpu
from mmoverlock.ops.dispatch import recording

from ...testing import (
    LAYOUTS,
    MAP_SHAPES,
    assert_close,
    assert_close_with_gradients,
    offset_maps,
)
from . import common
from .common import formula

DTYPES = {torch.float32: 1e-4, torch.float64: 1e-12}
BRANCHES = ((7, 1), (5, 1), (3, 2), (3, 3))  # size, dilation

make_arguments = partial(common.make_arguments, BRANCHES)
with_statistics = numba_cpu.dilated_branches.with_statistics


def fused(*args):
    return with_statistics(*args)[0]


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_equals_pytorch(dtype, layout):
    for shape in MAP_SHAPES:
        x, grad = offset_maps(shape, dtype, layout)
        arguments = make_arguments(shape[1], dtype)
        assert_close_with_gradients(fused, formula, x, grad, arguments, DTYPES[dtype])
        assert fused(x, *arguments).stride() == x.stride()


def test_strips_of_maps(monkeypatch):
    """Maps are cut where there are more threads than maps; statistics are put together again."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 7)
    x, grad = offset_maps((1, 5, 23, 9), torch.float64, 'channels_last')
    assert_close_with_gradients(fused, formula, x, grad, make_arguments(5, x.dtype), 1e-12)


def test_statistics_are_those_of_every_branch():
    x, _ = offset_maps((2, 5, 9, 8), torch.float64)
    weights, dilations, *rest = make_arguments(5, torch.float64)
    _, means, variances, count = with_statistics(x, weights, dilations, *rest)
    for weight, dilation, mean, var in zip(weights, dilations, means, variances, strict=True):
        y = F.conv2d(x, weight, None, 1, dilation * (weight.shape[-1] // 2), dilation, 5)
        torch.testing.assert_close(mean, y.mean((0, 2, 3)))
        torch.testing.assert_close(var, y.var((0, 2, 3), unbiased=False))
    assert count == 2 * 9 * 8
    assert not means.requires_grad and not variances.requires_grad


def test_expanded_gradient():
    """That of a mean has one element for all pixels."""
    x, _ = offset_maps((2, 17, 6, 8), torch.float64, 'channels_last')
    grad = torch.ones((), dtype=torch.float64).expand(x.shape)
    assert_close_with_gradients(fused, formula, x, grad, make_arguments(17, x.dtype), 1e-12)


def test_constant_maps_have_finite_gradients():
    x = torch.zeros(2, 5, 6, 7, requires_grad=True)
    weights, dilations, gammas, betas, eps = make_arguments(5, torch.float32)
    out, _, var, _ = with_statistics(x, weights, dilations, gammas, betas, eps)
    assert (var == 0).all() and torch.allclose(out[0, :, 0, 0], sum(betas))
    out.sum().backward()
    assert all(t.grad.isfinite().all() for t in (x, *weights, *gammas, *betas))


def test_operator_is_registered_properly():
    x, _ = offset_maps((2, 3, 8, 9), torch.float32)
    weights, dilations, gammas, betas, eps = make_arguments(3, torch.float32)
    flat = torch.cat([weight.detach().flatten(1) for weight in weights], 1).requires_grad_()
    norms = [torch.stack([t.detach() for t in ts]).requires_grad_() for ts in (gammas, betas)]
    sizes = [weight.shape[-1] for weight in weights]
    # Schema and fake tensors alone: what is not differentiable has no gradient to compare.
    torch.library.opcheck(
        torch.ops.mmoverlock.dilated_branches,
        (x, flat, *norms, sizes, dilations, eps, False),
        test_utils=('test_schema', 'test_faketensor', 'test_autograd_registration'),
    )


def test_compiles_into_one_graph():
    compiled = torch.compile(fused, fullgraph=True, backend='aot_eager')
    x, grad = offset_maps((2, 5, 9, 8), torch.float64)
    assert_close_with_gradients(compiled, formula, x, grad, make_arguments(5, x.dtype), 1e-12)


def layers(channels=6):
    convs = [DepthwiseConv2d(channels, size, dilation, bias=False) for size, dilation in BRANCHES]
    return nn.ModuleList(convs), nn.ModuleList(nn.BatchNorm2d(channels) for _ in BRANCHES)


def test_running_statistics_are_those_of_the_layers():
    x, _ = offset_maps((2, 6, 9, 8), torch.float32)
    told = {}
    for name in ('reference', 'numba'):
        torch.manual_seed(0)
        convs, norms = layers()
        dilated_branches(x, convs, norms, backend=name)
        told[name] = dict(norms.named_buffers())
    assert_close(told['numba'], told['reference'], 1e-5)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda convs, norms: norms.eval(), 'frozen or in evaluation mode'),
        (lambda convs, norms: norms[2].eval(), 'frozen or in evaluation mode'),
        (lambda convs, norms: setattr(norms[0], 'momentum', None), 'no momentum'),
        (lambda convs, norms: setattr(norms[1], 'eps', 1e-3), 'differ in eps'),
        (lambda convs, norms: norms.__setitem__(3, nn.InstanceNorm2d(6)), 'InstanceNorm2d'),
        (lambda convs, norms: convs.__setitem__(0, nn.Conv2d(6, 6, 1)), 'a branch is Conv2d'),
        (lambda convs, norms: convs[1].register_forward_hook(print), 'has hooks'),
        (lambda convs, norms: (convs.bfloat16(), norms.bfloat16()), 'bfloat16'),
    ],
    ids=['eval', 'one frozen', 'cumulative average', 'eps', 'norm', 'branch', 'hook', 'half'],
)
def test_layers_that_run_one_by_one(change, reason):
    convs, norms = layers()
    change(convs, norms)
    x = torch.randn(2, 6, 9, 8, dtype=next(convs.parameters()).dtype)
    with recording() as records:
        dilated_branches(x, convs, norms)
    record = next(record for record in records if record.operator == 'dilated_branches')
    assert record.backend == 'reference' and reason in record.reasons['numba']
    with pytest.raises(ValueError, match=reason):
        dilated_branches(x, convs, norms, backend='numba')
