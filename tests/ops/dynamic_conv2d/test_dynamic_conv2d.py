"""dynamic_conv2d: golden numbers of NATTEN, backends against the reference."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from mmoverlock.ops import _numba, available_backends, contmix, dynamic_conv2d
from mmoverlock.ops.dynamic_conv2d import natten_av, reference

from ...testing import (
    LargestTensor,
    assert_close,
    contmix_inputs,
    dynamic_conv_inputs,
    golden_arrays,
)

GRAD_FN = 'dynamic_conv2d_numbaBackward'
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}

# (B, G, H, W, C, K): H or W equal to K, batch 1, one head, one channel, C no multiple of 4, K 1.
SHAPES = [
    (1, 1, 1, 1, 1, 1), (2, 3, 4, 5, 2, 1), (1, 1, 3, 3, 1, 3), (1, 2, 3, 7, 5, 3), (2, 1, 8, 3, 4, 3),
    (2, 2, 9, 9, 3, 3), (1, 4, 5, 5, 16, 5), (3, 1, 5, 12, 7, 5), (1, 2, 11, 5, 6, 5), (2, 4, 6, 7, 8, 5),
    (1, 1, 7, 7, 14, 7), (2, 2, 7, 9, 16, 7), (1, 8, 10, 7, 3, 7), (2, 1, 13, 14, 4, 7), (1, 1, 8, 8, 33, 7),
    (1, 2, 9, 9, 16, 9), (2, 1, 9, 15, 2, 9), (1, 3, 16, 9, 12, 9), (1, 1, 10, 11, 1, 9), (1, 2, 11, 11, 9, 11),
    (1, 1, 12, 20, 5, 11), (2, 2, 11, 12, 4, 11), (1, 2, 13, 13, 16, 13), (1, 1, 13, 21, 3, 13), (2, 1, 17, 13, 7, 13),
    (1, 4, 14, 14, 16, 13), (1, 1, 15, 15, 14, 15), (1, 2, 15, 18, 2, 15), (1, 1, 17, 17, 8, 17), (1, 1, 18, 25, 5, 17),
    (1, 1, 19, 19, 4, 19), (1, 2, 20, 19, 1, 19),
]  # fmt: skip


def run(backend, inputs, grad):
    for tensor in inputs:
        tensor.grad = None
    out = dynamic_conv2d(*inputs, backend=backend)
    out.backward(grad)
    return [out.detach(), *(tensor.grad.clone() for tensor in inputs)]


@pytest.mark.parametrize('name', ['reference', 'numba'])
@pytest.mark.parametrize('index', range(3))
def test_equals_natten(index, name):
    arrays = golden_arrays(f'dynamic_conv_{index}')
    batch, groups, channels, height, width, size = arrays['shape']
    rng = np.random.default_rng(100 + index)
    logits = torch.from_numpy(rng.standard_normal((batch, groups, height, width, size**2)))
    value = torch.from_numpy(rng.standard_normal((batch, groups, height, width, channels)))
    grad = torch.from_numpy(rng.standard_normal(tuple(value.shape))).float()
    kernels = logits.softmax(-1).float().requires_grad_()
    out, grad_kernels, grad_value = run(name, [kernels, value.float().requires_grad_()], grad)
    assert_close(out, arrays['out'])
    assert_close(grad_value, arrays['grad_value'])
    assert_close(grad_kernels[..., ::3], arrays['grad_attn'])


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_numba_equals_reference(shape, dtype):
    inputs, grad = dynamic_conv_inputs(shape, dtype)
    assert dynamic_conv2d(*inputs, backend='numba').grad_fn.name() == GRAD_FN
    assert dynamic_conv2d(*inputs, backend='reference').grad_fn.name() != GRAD_FN
    assert_close(run('numba', inputs, grad), run('reference', inputs, grad), DTYPES[dtype])


@pytest.mark.parametrize('name', ['reference', 'numba'])
def test_window_rule(name):
    """One-hot kernels pick single values: the window starts at clamp(i - K//2, 0, H - K)."""
    height, width, size = 6, 9, 5
    value = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width, 1)
    for tap in (0, 7, 24):
        kernels = torch.zeros(1, 1, height, width, size**2, dtype=torch.float64)
        kernels[..., tap] = 1
        out = dynamic_conv2d(kernels, value, backend=name)[0, 0, ..., 0]
        for i in range(height):
            for j in range(width):
                row = min(max(i - 2, 0), height - size) + tap // size
                col = min(max(j - 2, 0), width - size) + tap % size
                assert out[i, j] == row * width + col


def test_numba_takes_non_contiguous_tensors():
    (kernels, value), grad = dynamic_conv_inputs((2, 2, 8, 9, 6, 5), torch.float64)
    strided = [
        x.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_()
        for x in (kernels, value)
    ]
    assert not strided[0].is_contiguous()
    grad = grad.transpose(0, 1).contiguous().transpose(0, 1)
    assert_close(run('numba', strided, grad), run('reference', [kernels, value], grad), 1e-12)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_numba_half_precision_is_computed_in_float32(dtype):
    (kernels, value), grad = dynamic_conv_inputs((1, 2, 8, 9, 6, 7), torch.float32)
    half = [x.detach().to(dtype).requires_grad_() for x in (kernels, value)]
    full = [x.detach().float().requires_grad_() for x in half]
    actual = run('numba', half, grad.to(dtype))
    expected = run('reference', full, grad.to(dtype).float())
    assert_close(actual, expected, torch.finfo(dtype).eps, dtype=dtype)


def test_nan_stays_nan():
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 7, 7, 4, 7), torch.float32)
    value = value.detach().clone()
    value[..., 3, 3, :] = float('nan')
    assert dynamic_conv2d(kernels, value, backend='numba').isnan().all()


def test_nothing_unfolds_the_map():
    """The reference makes one column of all windows at a time, numba not even that."""
    shape = batch, groups, height, width, channels, size = 2, 2, 16, 20, 8, 7
    inputs, grad = dynamic_conv_inputs(shape, torch.float32)
    unfolded = batch * groups * height * width * channels * size**2
    largest = {}
    for name in ('numba', 'reference'):
        with LargestTensor() as mode:
            run(name, inputs, grad)
        largest[name] = mode.numel
    assert largest['numba'] <= unfolded / channels
    assert largest['reference'] == unfolded / size


def test_default_backend_on_the_cpu(monkeypatch):
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 5, 5, 2, 3), torch.float32)
    assert dynamic_conv2d(kernels, value).grad_fn.name() == GRAD_FN
    assert available_backends('cpu')[0] == 'numba'
    assert available_backends('cuda', 'contmix') == ['triton', 'reference']


def test_override_by_environment_and_argument(monkeypatch):
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 5, 5, 2, 3), torch.float32)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    assert dynamic_conv2d(kernels, value).grad_fn.name() != GRAD_FN
    assert dynamic_conv2d(kernels, value, backend='numba').grad_fn.name() == GRAD_FN
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'fast')
    with pytest.raises(ValueError, match="unknown backend 'fast': allowed are"):
        dynamic_conv2d(kernels, value)


def test_backend_that_cannot_run_says_why(monkeypatch):
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 5, 5, 2, 3), torch.float32)
    monkeypatch.setattr(natten_av, 'find_spec', lambda name: None)
    with pytest.raises(ValueError, match="'natten' cannot run here: natten is not installed"):
        dynamic_conv2d(kernels, value, backend='natten')
    assert 'numba runs on the CPU' in _numba.unavailable(torch.device('cuda'))


def fake_natten(monkeypatch, with_operator):
    """A NATTEN with the signature of 0.17, computing by our reference."""
    functional = ModuleType('natten.functional')
    calls = []
    if with_operator:

        def na2d_av(attn, value, kernel_size, dilation=1):
            calls.append(kernel_size)
            return reference.dynamic_conv2d(attn, value)

        functional.na2d_av = na2d_av
    monkeypatch.setitem(sys.modules, 'natten', ModuleType('natten'))
    monkeypatch.setitem(sys.modules, 'natten.functional', functional)
    monkeypatch.setattr(natten_av, 'find_spec', lambda name: True)
    return calls


def test_natten_is_called_as_its_signature_says(monkeypatch):
    calls = fake_natten(monkeypatch, with_operator=True)
    inputs, grad = dynamic_conv_inputs((2, 2, 8, 9, 6, 5), torch.float64)
    assert_close(run('natten', inputs, grad), run('reference', inputs, grad), 0)
    assert calls == [5]
    tensors, _ = contmix_inputs((1, 2, 3, 49, 4, 7, 7, 5, 7))
    with pytest.raises(ValueError, match="'natten' cannot run here: it has no contmix"):
        contmix(*tensors, 5, 7, backend='natten')


def test_natten_without_the_operator_is_refused(monkeypatch):
    fake_natten(monkeypatch, with_operator=False)
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 5, 5, 2, 3), torch.float32)
    with pytest.raises(ValueError, match='na2d_av, which was removed in 0.20'):
        dynamic_conv2d(kernels, value, backend='natten')


@pytest.mark.parametrize(
    ('kernels', 'value', 'message'),
    [
        ((1, 1, 5, 5, 9), (1, 1, 5, 6, 2), r'are needed'),
        ((1, 5, 5, 9), (1, 5, 5, 2), r'are needed'),
        ((1, 1, 5, 5, 8), (1, 1, 5, 5, 2), r'odd K squared'),
        ((1, 1, 5, 5, 16), (1, 1, 5, 5, 2), r'odd K squared'),
        ((1, 1, 5, 4, 25), (1, 1, 5, 4, 2), r'value map \(5, 4\): at least 5×5'),
    ],
)
def test_wrong_shapes_are_refused(kernels, value, message):
    with pytest.raises(ValueError, match=message):
        dynamic_conv2d(torch.zeros(kernels), torch.zeros(value))


def test_wrong_dtypes_are_refused():
    with pytest.raises(ValueError, match='on one device'):
        dynamic_conv2d(torch.zeros(1, 1, 3, 3, 9), torch.zeros(1, 1, 3, 3, 2, dtype=torch.long))
