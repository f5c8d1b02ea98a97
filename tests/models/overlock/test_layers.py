"""Layers that compute by a shorter way what their parts would."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import nn

from mmoverlock.models.overlock.layers import SE
from mmoverlock.ops import backend

from ...testing import assert_close


@pytest.fixture
def se():
    torch.manual_seed(0)
    return SE(24).double()


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 24, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)


def test_squeeze_and_excitation_equals_its_layers(se, x):
    def results():
        out = se(x)
        return out, *torch.autograd.grad(out.square().sum(), [x, *se.parameters()])

    actual = results()
    with backend('reference'), mock.patch.object(SE, '_excitation', None):
        assert_close(actual, results(), 1e-12)


@pytest.mark.parametrize('name', ['proj', *(f'proj.{i}' for i in range(5))])
def test_squeeze_and_excitation_calls_hooks(se, x, name):
    called = []
    se.get_submodule(name).register_forward_hook(lambda *args: called.append(args))
    se(x)
    assert called


@pytest.mark.parametrize('index', range(5))
def test_squeeze_and_excitation_calls_what_replaces_a_layer(se, x, index):
    called, original = [], se.proj[index]

    class Replacement(nn.Module):
        def forward(self, x):
            called.append(x)
            return original(x)

    expected = se(x)
    se.proj[index] = Replacement()
    assert_close(se(x), expected, 1e-12)
    assert called
