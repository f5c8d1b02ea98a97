"""Depthwise convolutions with the norms behind them in one operator, against PyTorch's formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmoverlock.models.overlock.layers import SE
from mmoverlock.ops.depthwise import numba_cpu
from mmoverlock.ops.depthwise.batch_norm import depthwise_batch_norm
from mmoverlock.ops.depthwise.fused import fit
from mmoverlock.ops.depthwise.grn import gelu_depthwise_grn
from mmoverlock.ops.grn import grn

from ..testing import assert_close

DTYPES = {torch.float32: 1e-4, torch.float64: 1e-12}
BRANCHES = ((7, 1), (5, 1), (3, 2), (3, 3))  # size, dilation

# (B, C, H, W): maps smaller than the kernel, channels and widths that fill no vector and no tile.
SHAPES = [(2, 3, 9, 11), (1, 16, 30, 9), (4, 40, 14, 14), (3, 17, 2, 1), (1, 1, 5, 50)]


def maps(shape, dtype, channels_last):
    """Input and gradient, with means far from zero: statistics must not cancel."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, generator=generator, dtype=dtype) + 3 for _ in range(2))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), grad


def parameters(*shapes, dtype):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]


def batch_norm_arguments(channels, dtype):
    weights = parameters(*((channels, 1, size, size) for size, _ in BRANCHES), dtype=dtype)
    gammas, betas = (parameters(*[(channels,)] * len(BRANCHES), dtype=dtype) for _ in range(2))
    return weights, [dilation for _, dilation in BRANCHES], gammas, betas, 1e-5


def batch_norm_formula(x, weights, dilations, gammas, betas, eps):
    total = 0
    for weight, dilation, gamma, beta in zip(weights, dilations, gammas, betas, strict=True):
        padding = dilation * (weight.shape[-1] // 2)
        y = F.conv2d(x, weight, None, 1, padding, dilation, len(weight))
        total = total + F.batch_norm(y, None, None, gamma, beta, True, 0.0, eps)
    return total


def grn_arguments(channels, dtype):
    wide = (1, channels, 1, 1)
    return parameters((channels,), (channels, 1, 3, 3), (channels,), wide, wide, dtype=dtype)


def grn_formula(x, shift, weight, bias, gamma, beta):
    y = F.conv2d(F.gelu(x + shift[:, None, None]), weight, bias, 1, 1, 1, len(weight))
    norm = torch.linalg.vector_norm(y, dim=(2, 3), keepdim=True)
    return y * (1 + gamma * norm / (norm.mean(1, keepdim=True) + 1e-6)) + beta


def doubled(argument):
    if isinstance(argument, list):
        return [doubled(element) for element in argument]
    if isinstance(argument, torch.Tensor):
        return argument.detach().double().requires_grad_()
    return argument


def leaves(arguments):
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            yield argument
        elif isinstance(argument, list) and isinstance(argument[0], torch.Tensor):
            yield from argument


def assert_equal_with_gradients(function, formula, x, grad, arguments, tolerance):
    """The formula is computed in float64: in float32 it may be the less accurate of the two."""
    x64, *arguments64 = doubled([x, *arguments])
    actual, wanted = function(x, *arguments), formula(x64, *arguments64)
    grads = torch.autograd.grad(actual, [x, *leaves(arguments)], grad)
    wanted_grads = torch.autograd.grad(wanted, [x64, *leaves(arguments64)], grad.double())
    actual, wanted = (actual, *grads), (wanted, *wanted_grads)
    assert_close(actual, wanted, tolerance, dtype=x.dtype, floor=1)


CASES = {
    'batch_norm': (
        lambda *args: depthwise_batch_norm(*args)[0],
        batch_norm_formula,
        batch_norm_arguments,
    ),
    'grn': (gelu_depthwise_grn, grn_formula, grn_arguments),
}


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('case', CASES)
def test_equals_pytorch(case, dtype, channels_last):
    function, formula, make = CASES[case]
    for shape in SHAPES:
        x, grad = maps(shape, dtype, channels_last)
        arguments = make(shape[1], dtype)
        assert fit(x)
        assert_equal_with_gradients(function, formula, x, grad, arguments, DTYPES[dtype])
        assert function(x, *arguments).stride() == x.stride()


@pytest.mark.parametrize('case', CASES)
def test_strips_of_maps(case, monkeypatch):
    """Maps are cut where there are more threads than maps; statistics are put together again."""
    function, formula, make = CASES[case]
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 7)
    x, grad = maps((1, 5, 23, 9), torch.float64, True)
    assert_equal_with_gradients(function, formula, x, grad, make(5, torch.float64), 1e-12)


def test_statistics_are_those_of_every_branch():
    x, _ = maps((2, 5, 9, 8), torch.float64, False)
    weights, dilations, *rest = batch_norm_arguments(5, torch.float64)
    _, means, variances = depthwise_batch_norm(x, weights, dilations, *rest)
    for weight, dilation, mean, var in zip(weights, dilations, means, variances, strict=True):
        y = F.conv2d(x, weight, None, 1, dilation * (weight.shape[-1] // 2), dilation, 5)
        torch.testing.assert_close(mean, y.mean((0, 2, 3)))
        torch.testing.assert_close(var, y.var((0, 2, 3), unbiased=False))
    assert not means.requires_grad and not variances.requires_grad


@pytest.mark.parametrize('case', CASES)
def test_expanded_gradient(case):
    """That of a mean has one element for all pixels."""
    function, formula, make = CASES[case]
    x, _ = maps((2, 17, 6, 8), torch.float64, True)
    grad = torch.ones((), dtype=torch.float64).expand(x.shape)
    assert_equal_with_gradients(function, formula, x, grad, make(17, torch.float64), 1e-12)


def test_constant_maps_have_finite_gradients():
    """No variance and, with zero weights, no norm."""
    x = torch.zeros(2, 5, 6, 7, requires_grad=True)
    weights, dilations, gammas, betas, eps = batch_norm_arguments(5, torch.float32)
    out, _, var = depthwise_batch_norm(x, weights, dilations, gammas, betas, eps)
    assert (var == 0).all() and torch.allclose(out[0, :, 0, 0], sum(betas))
    _, weight, _, gamma, beta = grn_arguments(5, torch.float32)
    same = gelu_depthwise_grn(x, torch.zeros(5), weight, torch.zeros(5), gamma, beta)
    (out.sum() + same.sum()).backward()
    assert all(t.grad.isfinite().all() for t in (x, *weights, *gammas, *betas, weight, gamma, beta))


@pytest.mark.parametrize('channels_last', [False, True])
def test_grn_overwrites_its_input_when_asked(channels_last):
    x, _ = maps((2, 17, 9, 8), torch.float32, channels_last)
    x, arguments = x.detach(), grn_arguments(17, torch.float32)
    with torch.no_grad():
        wanted = gelu_depthwise_grn(x, *arguments)
        out = gelu_depthwise_grn(x, *arguments, inplace=True)
    assert out.data_ptr() == x.data_ptr()
    assert torch.equal(out, wanted)


def grn_in_place(x):
    return grn(x, torch.ones(1, 6, 1, 1), torch.zeros(1, 6, 1, 1), inplace=True)


@pytest.mark.parametrize(
    'overwrite',
    [
        grn_in_place,
        lambda x: gelu_depthwise_grn(x, *grn_arguments(6, torch.float32), inplace=True),
        lambda x: numba_cpu.overwrite(x, torch.ones(6, 1, 3, 3), torch.zeros(6)),
        lambda x: SE(6)(x),
    ],
    ids=['grn', 'gelu_depthwise_grn', 'depthwise', 'squeeze_excite'],
)
def test_autograd_knows_what_was_overwritten(overwrite):
    x, _ = maps((2, 6, 9, 8), torch.float32, True)
    kept = x.exp()
    with torch.no_grad():
        overwrite(kept)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        kept.sum().backward()


def test_operators_are_registered_properly():
    x, _ = maps((2, 3, 8, 9), torch.float32, False)
    weights, dilations, gammas, betas, eps = batch_norm_arguments(3, torch.float32)
    flat = torch.cat([weight.detach().flatten(1) for weight in weights], 1).requires_grad_()
    norms = [torch.stack([t.detach() for t in ts]).requires_grad_() for ts in (gammas, betas)]
    sizes = [weight.shape[-1] for weight in weights]
    # Schema and fake tensors alone: what is not differentiable has no gradient to compare.
    utils = ('test_schema', 'test_faketensor', 'test_autograd_registration')
    torch.library.opcheck(
        torch.ops.mmoverlock.depthwise_batch_norm,
        (x, flat, *norms, sizes, dilations, eps),
        test_utils=utils,
    )
    *given, gamma, beta = grn_arguments(3, torch.float32)
    small = [t.detach().flatten().requires_grad_() for t in (gamma, beta)]
    torch.library.opcheck(
        torch.ops.mmoverlock.gelu_depthwise_grn, (x, *given, *small, 1e-6), test_utils=utils
    )


@pytest.mark.parametrize('case', CASES)
def test_compiles_into_one_graph(case):
    function, formula, make = CASES[case]
    compiled = torch.compile(function, fullgraph=True, backend='aot_eager')
    x, grad = maps((2, 5, 9, 8), torch.float64, True)
    assert_equal_with_gradients(compiled, formula, x, grad, make(5, torch.float64), 1e-12)


def test_what_does_not_fit(monkeypatch):
    x = torch.zeros(1, 2, 3, 4)
    assert fit(x) and fit(x.double())
    assert not fit(x.half()) and not fit(x[:0]) and not fit(x.to('meta'))
    with torch.autocast('cpu', torch.bfloat16):
        assert not fit(x)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    assert not fit(x)
