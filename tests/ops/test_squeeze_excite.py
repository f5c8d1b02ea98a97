"""Squeeze-and-excitation in one operator against its layers."""

from __future__ import annotations

import pytest
import torch

from mmoverlock.models.overlock import layers
from mmoverlock.ops.numba_channels import STRIP
from mmoverlock.ops.squeeze_excite import squeeze_excite_

SHAPES = [(2, 5, 7, 6), (1, 40, STRIP // 8, 9), (3, 64, 1, 1), (1, 3, 50, 40)]


@pytest.fixture
def ran(monkeypatch):
    """How often the operator ran."""
    calls = []

    def record(*args):
        calls.append(args)
        return squeeze_excite_(*args)

    monkeypatch.setattr(layers, 'squeeze_excite_', record)
    return calls


def made(shape, dtype=torch.float32, channels_last=True):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=dtype) + 0.5
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return layers.SE(shape[1]).to(dtype), x


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('shape', SHAPES)
def test_equals_the_layers(shape, dtype, ran):
    module, x = made(shape, dtype)
    with torch.no_grad():
        wanted = x * module.proj(x)
        out = module(x)
    assert len(ran) == 1
    assert out.data_ptr() == x.data_ptr()
    torch.testing.assert_close(out, wanted)


def test_threads_do_not_matter(monkeypatch):
    module, x = made((2, 20, 40, 40))
    with torch.no_grad():
        wanted = x * module.proj(x)
        monkeypatch.setattr(torch, 'get_num_threads', lambda: 5)
        torch.testing.assert_close(module(x), wanted)


def test_large_numbers_stay_finite():
    module, x = made((1, 8, 4, 4))
    with torch.no_grad():
        for scale in (1e30, -1e30):
            assert module(x * scale).isfinite().all()


def test_where_it_cannot_run(ran, monkeypatch):
    for dtype, channels_last in ((torch.float32, False), (torch.bfloat16, True)):
        module, x = made((2, 16, 4, 4), dtype, channels_last)
        with torch.no_grad():
            wanted = x * module.proj(x)
            torch.testing.assert_close(module(x), wanted)
    module, x = made((2, 16, 4, 4))
    module(x).sum().backward()
    assert module.proj[1].weight.grad is not None
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    with torch.no_grad():
        module(x)
    assert not ran


def test_weights_of_another_map_are_refused():
    module, _ = made((1, 16, 4, 4))
    _, x = made((1, 8, 4, 4))
    with torch.no_grad(), pytest.raises(ValueError, match='map of 8 channels'):
        module(x)


def test_layers_with_hooks_are_called(ran):
    module, x = made((2, 16, 4, 4))
    seen = []
    module.proj[3].register_forward_hook(lambda *args: seen.append(args))
    with torch.no_grad():
        module(x)
    assert len(seen) == 1 and not ran
