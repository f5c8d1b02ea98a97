"""The gradient of every operator against finite differences, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mmoverlock.ops import contmix, conv1x1, depthwise_conv2d, dynamic_conv2d
from mmoverlock.ops.conv_mlp.numba_cpu import gelu_conv_grn
from mmoverlock.ops.dilated_branches import numba_cpu

from ..testing import LAYOUTS, assert_close, contmix_inputs, dynamic_conv_inputs, randn

DOUBLE = partial(randn, dtype=torch.float64)
BRANCHES = ((5, 1), (3, 1), (3, 2))  # kernel size, dilation


def parameters(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [DOUBLE(*shape, seed=seed) for seed, shape in enumerate(shapes, start=1)]


def dilated_branches(x: Tensor, *tensors: Tensor) -> Tensor:
    weights, gammas, betas = (tensors[i :: len(BRANCHES)] for i in range(3))
    dilations = [dilation for _, dilation in BRANCHES]
    return numba_cpu.dilated_branches.with_statistics(x, weights, dilations, gammas, betas, 1e-5)[0]


# Of each operator on (B, C, H, W) maps: a function of the map and its parameters, and their shapes
# for C channels.
OPERATORS: dict[str, tuple[Callable, Callable]] = {
    'depthwise_conv2d-numba': (
        lambda *tensors: depthwise_conv2d(*tensors, 2, backend='numba'),
        lambda c: [(c, 1, 3, 3), (c,)],
    ),
    'depthwise_conv2d-reference': (
        lambda *tensors: depthwise_conv2d(*tensors, 2, backend='reference'),
        lambda c: [(c, 1, 3, 3), (c,)],
    ),
    'dilated_branches': (
        dilated_branches,
        lambda c: [s for size, _ in BRANCHES for s in ((c, 1, size, size), (c,), (c,))],
    ),
    'gelu_conv_grn': (
        gelu_conv_grn,
        lambda c: [(c,), (c, 1, 3, 3), (c,), (1, c, 1, 1), (1, c, 1, 1)],
    ),
    'conv1x1': (conv1x1, lambda c: [(4, c, 1, 1), (4,)]),
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('name', OPERATORS)
def test_operators_on_maps(name, layout):
    """Of 3 and 9 channels, which fill no vector, and more than one."""
    operator, shapes = OPERATORS[name]
    for size in ((2, 3, 4, 5), (1, 9, 3, 2)):
        inputs = [DOUBLE(*size, layout=layout), *parameters(*shapes(size[1]))]
        assert torch.autograd.gradcheck(operator, [x.requires_grad_() for x in inputs])


def check_second_derivatives(operator: Callable, inputs: list[Tensor]) -> None:
    """And that the gradient which can be differentiated again is the other one."""
    inputs = [x.requires_grad_() for x in inputs]
    out = operator(*inputs)
    grad = DOUBLE(*out.shape, seed=99)
    once = torch.autograd.grad(out, inputs, grad, retain_graph=True)
    again = torch.autograd.grad(out, inputs, grad, create_graph=True)
    assert not any(one.requires_grad for one in once)
    assert any(one.requires_grad for one in again)
    assert_close(again, once, 1e-10, floor=1)
    assert torch.autograd.gradgradcheck(operator, inputs)


@pytest.mark.parametrize('name', OPERATORS)
def test_operators_on_maps_twice(name):
    operator, shapes = OPERATORS[name]
    size = (2, 3, 3, 4)
    check_second_derivatives(operator, [DOUBLE(*size), *parameters(*shapes(size[1]))])


def test_a_tensor_that_depends_on_another():
    """Its path to the other one is counted once."""
    x = DOUBLE(1, 2, 3, 3).requires_grad_()

    def penalty(backend: str) -> Tensor:
        weight = x.sum((0, 2, 3)).view(2, 1, 1, 1).expand(2, 1, 3, 3)
        out = depthwise_conv2d(x, weight, backend=backend)
        (grad,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), x)[0]

    assert_close(penalty('numba'), penalty('reference'), 1e-10)


@pytest.mark.parametrize('backend', ['reference', 'numba'])
def test_dynamic_conv2d_twice(backend):
    inputs, _ = dynamic_conv_inputs((1, 2, 3, 4, 2, 3), torch.float64)
    check_second_derivatives(partial(dynamic_conv2d, backend=backend), inputs)


@pytest.mark.parametrize('backend', ['reference', 'numba'])
def test_contmix_twice(backend):
    inputs, _ = contmix_inputs((1, 1, 2, 4, 2, 5, 5, 3, 5), torch.float64)
    check_second_derivatives(lambda *x: contmix(*x, 3, 5, backend=backend), inputs)


@pytest.mark.parametrize('backend', ['reference', 'numba'])
def test_dynamic_conv2d(backend):
    inputs, _ = dynamic_conv_inputs((1, 2, 5, 6, 3, 5), torch.float64)
    assert torch.autograd.gradcheck(partial(dynamic_conv2d, backend=backend), inputs)


@pytest.mark.parametrize('backend', ['reference', 'numba'])
def test_contmix(backend):
    inputs, _ = contmix_inputs((1, 1, 2, 4, 2, 5, 6, 3, 5), torch.float64)
    assert torch.autograd.gradcheck(lambda *x: contmix(*x, 3, 5, backend=backend), inputs)
