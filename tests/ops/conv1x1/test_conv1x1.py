"""conv1x1: every backend gives PyTorch's result, in channels_last on the CPU."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import nn

from mmoverlock.models.overlock import layers
from mmoverlock.ops import autotune, conv1x1
from mmoverlock.ops.conv1x1 import CONV1X1, FEW_PIXELS
from mmoverlock.ops.dispatch import recording


def made(shape, weight_shape, channels_last=True):
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(size, generator=generator) for size in (shape, weight_shape, weight_shape[:1])
    )
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return x, weight, bias


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    monkeypatch.setattr(autotune, '_chosen', {})
    return autotune.choices


@pytest.mark.parametrize('name', CONV1X1.backends)
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('with_bias', [False, True])
def test_every_backend_is_the_convolution(name, channels_last, with_bias):
    for shape in ((2, 5, 4, 3), (1, 20, 1, 1), (3, 7, 9, 9)):
        x, weight, bias = made(shape, (6, shape[1], 1, 1), channels_last)
        bias = bias.repeat_interleave(2)[::2] if with_bias else None  # not contiguous
        with torch.inference_mode(), recording() as records:
            actual = conv1x1(x, weight, bias, backend=name)
        torch.testing.assert_close(actual, F.conv2d(x, weight, bias))
        assert [record.backend for record in records] == [name]
        if name != 'reference':
            assert actual.is_contiguous(memory_format=torch.channels_last)


def test_backends_are_measured_where_that_can_pay(measured):
    few, weight, bias = made((1, 5, 2, 3), (6, 5, 1, 1))
    many, *_ = made((1, 5, 16, FEW_PIXELS // 16 + 1), (6, 5, 1, 1))
    with torch.no_grad():
        conv1x1(many, weight, bias)
        assert conv1x1(few[:0], weight, bias).shape == (0, 6, 2, 3)
    conv1x1(few, weight, bias)
    assert not measured()
    with torch.no_grad():
        conv1x1(few, weight, bias)
    assert set(measured().values()) <= set(CONV1X1.backends) and len(measured()) == 1


@pytest.mark.parametrize('name', ['blas', 'onednn'])
def test_batch_of_one_with_any_stride(name):
    """Of a dimension of size 1 the stride means nothing; PyTorch tells layouts by it."""
    x, weight, bias = made((1, 6, 4, 3), (5, 6, 1, 1))
    odd = x.unflatten(1, (2, 3)).flatten(1, 2)
    assert odd.stride() != x.stride()
    with torch.no_grad():
        assert conv1x1(odd, weight, bias, name).stride() == (60, 1, 15, 5)


def gradients(run, x, weight):
    x, weight = (t.detach().clone().requires_grad_() for t in (x, weight))
    run(x, weight).square().sum().backward()
    return x.grad, weight.grad


@pytest.mark.parametrize('shape', [(2, 5, 4, 3), (1, 5, 20, 20)], ids=['few', 'many'])
def test_gradients_of_1x1(shape, measured):
    x, weight, bias = made(shape, (6, 5, 1, 1))
    actual = gradients(lambda x, weight: conv1x1(x, weight, bias), x, weight)
    wanted = gradients(lambda x, weight: F.conv2d(x, weight, bias), x, weight)
    torch.testing.assert_close(actual, wanted)


def test_fused_with_the_batch_norm_behind_it():
    """As tools of the OpenMMLab libraries do: the convolution gets a bias."""
    torch.manual_seed(0)
    layer = nn.Sequential(*layers.conv3x3_bn(8, 32, 2)).eval()
    nn.init.normal_(layer[1].running_mean)
    x, *_ = made((1, 8, 5, 7), (1, 8, 1, 1))
    with torch.no_grad():
        torch.testing.assert_close(fuse_conv_bn(deepcopy(layer))(x), layer(x))


def test_exports_with_any_batch():
    layer = nn.Sequential(*layers.conv3x3_bn(8, 32, 2), *layers.conv1x1_bn(32, 4)).eval()
    batch = torch.export.Dim('batch', max=64)
    x = torch.randn(2, 8, 6, 6)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},)).module()
    more = torch.randn(50, 8, 6, 6)
    torch.testing.assert_close(exported(more), layer(more))
