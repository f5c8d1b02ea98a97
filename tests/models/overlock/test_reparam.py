"""DilatedReparam and the MLP: one operator for convolutions and norms changes nothing but speed."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmoverlock.models.overlock.layers import ConvMLP
from mmoverlock.models.overlock.reparam import DilatedReparam
from mmoverlock.ops import backend
from mmoverlock.ops.dispatch import recording

from ...testing import assert_close


def make_inputs(dim):
    torch.manual_seed(0)
    return torch.randn(2, dim, 12, 10, dtype=torch.float64) + 2


def randomise(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


def step(module, x, name):
    """Output, gradients and buffers after a training step, and the backends of the operators."""
    module, x = deepcopy(module), x.clone().requires_grad_()
    with backend(name), recording() as records:
        y = module(x)
        y.square().mean().backward()
    told = {
        'y': y,
        'x': x.grad,
        **{name: parameter.grad for name, parameter in module.named_parameters()},
        **dict(module.named_buffers()),
    }
    return told, {record.operator: record.backend for record in records}


@pytest.mark.parametrize('kernel_size', [5, 7, 13])
def test_branches_together(kernel_size):
    module, x = randomise(DilatedReparam(6, kernel_size)), make_inputs(6)
    wanted, ran = step(module, x, 'reference')
    assert ran['dilated_branches'] == 'reference'
    actual, ran = step(module, x, 'auto')
    assert ran == {'dilated_branches': 'numba'}
    assert_close(actual, wanted, 1e-9, elementwise=True)
    assert wanted['origin_bn.num_batches_tracked'] == 1


@pytest.mark.parametrize(
    'change',
    [
        lambda module: module.eval(),
        lambda module: module.dil_bn_k3_1.eval(),
        lambda module: setattr(module.origin_bn, 'momentum', None),
        lambda module: setattr(module, 'origin_bn', nn.InstanceNorm2d(6, affine=True).double()),
    ],
    ids=['eval', 'one frozen', 'cumulative average', 'another norm'],
)
def test_branches_one_by_one(change):
    module, x = randomise(DilatedReparam(6, 7)), make_inputs(6)
    change(module)
    wanted, _ = step(module, x, 'reference')
    actual, ran = step(module, x, 'auto')
    assert ran['dilated_branches'] == 'reference'
    assert_close(actual, wanted, 1e-9, elementwise=True)


def test_one_number_has_no_variance():
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        DilatedReparam(6, 7)(torch.zeros(1, 6, 1, 1))


def test_mlp():
    mlp, x = randomise(ConvMLP(4, 9)), make_inputs(4)
    wanted, ran = step(mlp, x, 'reference')
    assert ran['conv_mlp'] == 'reference'
    actual, ran = step(mlp, x, 'auto')
    assert ran['conv_mlp'] == 'numba'
    assert_close(actual, wanted, 1e-9, elementwise=True)
    with torch.no_grad(), recording() as records:
        torch.testing.assert_close(mlp(x), wanted['y'])
    assert 'numba' in {record.backend for record in records if record.operator == 'conv_mlp'}
