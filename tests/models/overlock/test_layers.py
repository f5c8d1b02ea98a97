"""Layers that compute by a shorter way what their parts would."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import nn

from mmoverlock.models.overlock.layers import SE, Conv3x3
from mmoverlock.ops import backend

from ...testing import assert_close, randn


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


@pytest.mark.parametrize(
    ('side', 'mode', 'copied'),
    [
        (16, 'inference', True),
        (17, 'inference', False),  # more than 256 pixels
        (16, 'training', False),
        (16, 'reference', False),
    ],
)
def test_convolution_copies_a_small_map_rather_than_its_weights(side, mode, copied):
    conv, maps = Conv3x3(8, 24, stride=2).double(), []
    x = randn(1, 8, side, side, dtype=torch.float64, layout='channels_last')
    expected = nn.functional.conv2d(x, conv.weight, None, 2, 1)
    plain = nn.Conv2d._conv_forward

    def seen(self, x, *others):
        maps.append(x)
        return plain(self, x, *others)

    name = 'reference' if mode == 'reference' else 'auto'
    patched = mock.patch.object(nn.Conv2d, '_conv_forward', seen)
    with patched, backend(name), torch.set_grad_enabled(mode == 'training'):
        out = conv(x)
    assert maps[0].is_contiguous() == copied
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_close(out, expected, 1e-12)
