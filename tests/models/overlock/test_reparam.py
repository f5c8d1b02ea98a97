"""DilatedReparam and the MLP: one operator for convolutions and norms changes nothing but speed."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmoverlock.models.overlock import layers, reparam
from mmoverlock.models.overlock.reparam import DilatedReparam

from ...testing import assert_close


def make_inputs(dim):
    torch.manual_seed(0)
    return torch.randn(2, dim, 12, 10, dtype=torch.float64) + 2


def randomise(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


@pytest.fixture
def ran(monkeypatch):
    """The operators that ran."""
    calls = []
    for module, name in ((reparam, 'depthwise_batch_norm'), (layers, 'gelu_depthwise_grn')):
        original = getattr(module, name)

        def spy(*args, original=original, name=name, **options):
            calls.append(name)
            return original(*args, **options)

        monkeypatch.setattr(module, name, spy)
    return calls


def step(module, x, monkeypatch, backend=None):
    """Output, gradients and buffers after a training step."""
    module, x = deepcopy(module), x.clone().requires_grad_()
    if backend:
        monkeypatch.setenv('MMOVERLOCK_BACKEND', backend)
    y = module(x)
    y.square().mean().backward()
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    return {
        'y': y,
        'x': x.grad,
        **{name: parameter.grad for name, parameter in module.named_parameters()},
        **dict(module.named_buffers()),
    }


@pytest.mark.parametrize('kernel_size', [5, 7, 13])
def test_branches_together(kernel_size, ran, monkeypatch):
    module, x = randomise(DilatedReparam(6, kernel_size)), make_inputs(6)
    wanted = step(module, x, monkeypatch, 'reference')
    assert not ran
    assert_close(step(module, x, monkeypatch), wanted, 1e-9, elementwise=True)
    assert ran == ['depthwise_batch_norm']
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
def test_branches_one_by_one(change, ran, monkeypatch):
    module, x = randomise(DilatedReparam(6, 7)), make_inputs(6)
    change(module)
    wanted = step(module, x, monkeypatch, 'reference')
    assert_close(step(module, x, monkeypatch), wanted, 1e-9, elementwise=True)
    assert not ran


def test_one_number_has_no_variance():
    with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
        DilatedReparam(6, 7)(torch.zeros(1, 6, 1, 1))


def test_mlp(ran, monkeypatch):
    mlp = randomise(
        layers.WithGRN(
            layers.Conv1x1(4, 9),
            layers.GELU(),
            layers.ResDWConv(9, inplace=True),
            layers.GRN(9),
            layers.Conv1x1(9, 4),
        )
    )
    x = make_inputs(4)
    wanted = step(mlp, x, monkeypatch, 'reference')
    assert not ran
    assert_close(step(mlp, x, monkeypatch), wanted, 1e-9, elementwise=True)
    assert ran == ['gelu_depthwise_grn']
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), wanted['y'])
        assert len(ran) == 2
        monkeypatch.setattr(layers, 'MAPPED_ANEW', 0)  # large maps are overwritten, layer by layer
        overwrite, overwritten = layers.overwrite, []
        monkeypatch.setattr(
            layers, 'overwrite', lambda *args: overwritten.append(args) or overwrite(*args)
        )
        torch.testing.assert_close(mlp(x), wanted['y'])
        assert len(overwritten) == 1
    assert len(ran) == 2


@pytest.mark.parametrize('training', [False, True])
def test_layers_with_hooks_are_called(training, ran):
    mlp = layers.WithGRN(layers.Conv1x1(4, 9), layers.GELU(), layers.ResDWConv(9), layers.GRN(9))
    seen = []
    mlp[1].register_forward_hook(lambda *args: seen.append(args))
    with torch.set_grad_enabled(training):
        mlp(torch.randn(2, 4, 5, 5))
    assert len(seen) == 1 and not ran
