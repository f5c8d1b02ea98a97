"""squeeze_excite: the layers, and the numba backend that writes over its input."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmoverlock.models.overlock.layers import SE
from mmoverlock.ops import squeeze_excite
from mmoverlock.ops.dispatch import recording
from mmoverlock.ops.grn.numba_kernels import STRIP

from ...testing import assert_close, randn


def made(channels, dtype=torch.float32):
    torch.manual_seed(0)
    layer = SE(channels)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer.to(dtype)


def ran(layer, x):
    with recording() as records:
        out = layer(x)
    return out, next(r for r in records if r.operator == 'squeeze_excite')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('shape', [(2, 5, 7, 6), (1, 40, STRIP // 8, 9), (3, 130, 1, 1)])
@pytest.mark.parametrize('threads', [1, 5])
def test_numba_is_the_layers(shape, dtype, threads, monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    layer, x = made(shape[1], dtype), randn(*shape, dtype=dtype, layout='channels_last')
    wanted = x * layer.proj(x)
    with torch.no_grad():
        out, record = ran(layer, x)
    assert record.backend == 'numba' and out.data_ptr() == x.data_ptr()
    assert_close(out, wanted, 1e-5 if dtype == torch.float32 else 1e-12)


def test_gradients():
    layer, x = made(6, torch.float64), randn(2, 6, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda proj: proj[1].register_forward_hook(lambda *args: None), 'a layer has hooks'),
        (lambda proj: proj.__setitem__(2, nn.ReLU()), 'a layer is ReLU'),
        (lambda proj: proj.__setitem__(2, nn.GELU('tanh')), 'GELU is approximate'),
        (lambda proj: setattr(proj[3], 'bias', None), 'has no bias'),
        (lambda proj: proj.bfloat16(), 'bfloat16'),
    ],
    ids=['hook', 'activation', 'approximate', 'bias', 'half'],
)
def test_layers_that_run_one_by_one(change, reason):
    layer = made(6)
    change(layer.proj)
    x = randn(2, 6, 4, 5, dtype=layer.proj[1].weight.dtype, layout='channels_last')
    wanted = x * deepcopy(layer.proj)(x)
    with torch.no_grad():
        out, record = ran(layer, x)
    assert record.backend == 'reference' and reason in record.reasons['numba']
    assert_close(out, wanted, 1e-2 if x.dtype == torch.bfloat16 else 1e-5)


def test_hooks_of_the_container_are_called():
    layer, called = made(6), []
    layer.proj.register_forward_hook(lambda *args: called.append(True))
    with torch.no_grad():
        layer(randn(1, 6, 4, 5))
    assert called


def test_other_layouts_and_autograd():
    layer, x = made(6), randn(2, 6, 4, 5)
    with torch.no_grad():
        _, record = ran(layer, x.clone())
    assert record.reasons['numba'] == 'the map is not channels_last'
    _, record = ran(layer, x)
    assert record.reasons['numba'] == 'only in eager inference'
    with pytest.raises(ValueError, match='only in eager inference'):
        squeeze_excite(x, *layer.proj, backend='numba')
