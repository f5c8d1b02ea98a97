"""dynamic_conv2d and contmix: golden numbers of NATTEN, backends against the reference, dispatch."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmoverlock.ops import available_backends, contmix, dynamic_conv2d
from mmoverlock.ops.dynamic_conv import numba_cpu, reference

from ..testing import assert_close, contmix_inputs, dynamic_conv_inputs, golden_arrays, with_gaps

GRAD_FN = 'NumbaDynamicConv2dBackward'
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


def run(backend, inputs, grad, op=dynamic_conv2d, extra=()):
    for tensor in inputs:
        tensor.grad = None
    out = op(*inputs, *extra, backend=backend)
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


CONTMIX_SHAPES = [
    (1, 2, 3, 49, 4, 7, 7, 5, 7), (2, 4, 5, 49, 3, 9, 13, 5, 9), (1, 1, 2, 9, 1, 13, 13, 3, 13),
    (2, 2, 4, 49, 16, 15, 13, 5, 13), (1, 2, 1, 4, 5, 5, 6, 5, 5), (1, 3, 7, 49, 7, 17, 19, 5, 17),
]  # fmt: skip


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('shape', CONTMIX_SHAPES, ids=str)
def test_contmix_numba_equals_reference(shape, dtype):
    inputs, grad = contmix_inputs(shape, dtype)
    results = [run(name, inputs, grad, contmix, shape[-2:]) for name in ('numba', 'reference')]
    assert_close(*results, 10 * DTYPES[dtype])


def channels_last(tensor):
    """The same numbers, the channels innermost in memory."""
    last = tensor.detach().flatten(1, -3).contiguous(memory_format=torch.channels_last)
    return last.view(tensor.shape).requires_grad_()


@pytest.mark.parametrize('layout', [channels_last, with_gaps])
def test_contmix_numba_takes_any_layout(layout):
    shape = CONTMIX_SHAPES[3]
    inputs, grad = contmix_inputs(shape)
    other = [layout(inputs[0]), with_gaps(inputs[1]), layout(inputs[2]), *inputs[3:]]
    assert not other[0].is_contiguous() and not other[2].is_contiguous()
    actual = run('numba', other, layout(grad).detach(), contmix, shape[-2:])
    assert_close(actual, run('reference', inputs, grad, contmix, shape[-2:]), 1e-4)


@pytest.mark.parametrize('name', ['reference', 'numba'])
@pytest.mark.parametrize('spread', [0.0, 1e4])
def test_contmix_is_finite_for_equal_and_for_extreme_logits(name, spread):
    """Equal logits average the window; extreme ones pick a value; nothing overflows."""
    inputs, grad = contmix_inputs((1, 2, 3, 4, 5, 7, 9, 3, 5), torch.float32)
    with torch.no_grad():
        inputs[0].mul_(spread)
        for tensor in inputs[4:]:
            tensor.mul_(spread)
    out, *grads = run(name, inputs, grad, contmix, (3, 5))
    assert all(tensor.isfinite().all() for tensor in (out, *grads))
    if not spread:
        small = reference.windows(inputs[2][:, 0].flatten(1, 2), 3).mean(2)
        torch.testing.assert_close(out[:, :10], small)
    else:
        assert out.abs().max() <= inputs[2].abs().max() * 1.0001


def test_contmix_equals_the_formula_at_one_pixel():
    """Written out tap by tap, from the definition, at a pixel near the border."""
    (q, k, v, w, b, small, large), _ = contmix_inputs((1, 1, 2, 4, 3, 6, 8, 3, 5), torch.float64)
    i, j = 5, 1
    halves = []
    for half, (rpb, size, first) in enumerate([(small, 3, 0), (large, 5, 9)]):
        top, left = min(max(i - size // 2, 0), 6 - size), min(max(j - size // 2, 0), 8 - size)
        logits = []
        for tap in range(size**2):
            affinity = q[0, 0, :, i, j] @ k[0, 0]
            bias = rpb[0, top - i + tap // size + size - 1, left - j + tap % size + size - 1]
            logits.append(w[first + tap] @ affinity + b[first + tap] + bias)
        weights = torch.stack(logits).softmax(0).view(size, size)
        window = v[0, half, 0, :, top : top + size, left : left + size]
        halves.append((weights * window).sum((1, 2)))
    expected = torch.cat(halves)
    for name in ('reference', 'numba'):
        out = contmix(q, k, v, w, b, small, large, 3, 5, backend=name)
        torch.testing.assert_close(out[0, :, i, j], expected)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operator returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.numel())
        return out


def test_numba_never_unfolds():
    shape = batch, groups, height, width, channels, size = 2, 2, 16, 20, 8, 7
    inputs, grad = dynamic_conv_inputs(shape, torch.float32)
    unfolded = batch * groups * height * width * channels * size**2
    largest = {}
    for name in ('numba', 'reference'):
        with LargestTensor() as mode:
            run(name, inputs, grad)
        largest[name] = mode.numel
    assert largest['numba'] <= unfolded / channels
    assert largest['reference'] >= unfolded


def test_numba_contmix_never_has_the_kernels():
    """No operator returns them, forward or backward (benchmarks/contmix.py measures the memory)."""
    shape = (2, 2, 4, 49, 16, 40, 60, 5, 13)
    inputs, grad = contmix_inputs(shape)
    kernels = 2 * 2 * 40 * 60 * (5**2 + 13**2)
    for name, bound in (('numba', kernels / 2), ('reference', None)):
        with LargestTensor() as mode:
            run(name, inputs, grad, contmix, (5, 13))
        assert mode.numel <= bound if bound else mode.numel >= kernels


def test_contmix_under_autocast():
    inputs, grad = contmix_inputs(CONTMIX_SHAPES[1])
    expected = run('reference', inputs, grad, contmix, (5, 9))
    with torch.autocast('cpu', torch.bfloat16):
        out = contmix(*inputs, 5, 9, backend='numba')
    for tensor in inputs:
        tensor.grad = None
    out.backward(grad.bfloat16())
    assert_close(out, expected[0], 2e-2, dtype=torch.bfloat16)
    assert_close([x.grad for x in inputs], expected[1:], 2e-2)


def test_contmix_compiles_into_one_graph():
    inputs, grad = contmix_inputs(CONTMIX_SHAPES[0])
    compiled = torch.compile(
        lambda *x, backend: 2 * contmix(*x, backend=backend), fullgraph=True, backend='aot_eager'
    )
    actual = run('numba', inputs, grad, compiled, (5, 7))
    assert_close(actual, [2 * x for x in run('numba', inputs, grad, contmix, (5, 7))], 1e-6)


@pytest.mark.parametrize('threads', [1, 5, 40])
def test_contmix_with_any_number_of_threads(threads, monkeypatch):
    """Maps are cut into strips where there are more threads than maps."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    shape = CONTMIX_SHAPES[0]
    inputs, grad = contmix_inputs(shape, torch.float64)
    wanted = run('reference', inputs, grad, contmix, shape[-2:])
    assert_close(run('numba', inputs, grad, contmix, shape[-2:]), wanted, 1e-11)


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
    monkeypatch.setattr('mmoverlock.ops.dynamic_conv.natten_av.find_spec', lambda name: None)
    with pytest.raises(ValueError, match="'natten' cannot run here: natten is not installed"):
        dynamic_conv2d(kernels, value, backend='natten')
    assert 'numba runs on the CPU' in numba_cpu.unavailable(torch.device('cuda'))


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
    monkeypatch.setattr('mmoverlock.ops.dynamic_conv.natten_av.find_spec', lambda name: True)
    return calls


def test_natten_is_called_as_its_signature_says(monkeypatch):
    calls = fake_natten(monkeypatch, with_operator=True)
    inputs, grad = dynamic_conv_inputs((2, 2, 8, 9, 6, 5), torch.float64)
    assert_close(run('natten', inputs, grad), run('reference', inputs, grad), 0)
    assert calls == [5]
    tensors, _ = contmix_inputs(CONTMIX_SHAPES[0])
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


def test_contmix_refuses_wrong_shapes():
    tensors, _ = contmix_inputs(CONTMIX_SHAPES[0])
    with pytest.raises(ValueError, match=r'proj_weight \(74, 49\): \(50, 49\) is needed'):
        contmix(*tensors, 5, 5)
    with pytest.raises(ValueError, match='small_kernel=4: an odd number'):
        tensors[3], tensors[4] = torch.zeros(16 + 49, 49), torch.zeros(16 + 49)
        tensors[5] = torch.zeros(2, 7, 7)
        contmix(*tensors, 4, 7)
    tensors, _ = contmix_inputs(CONTMIX_SHAPES[0])
    with pytest.raises(ValueError, match=r'proj_weight \(torch.float64'):
        contmix(*tensors[:3], tensors[3].double(), *tensors[4:], 5, 7)
    with pytest.raises(ValueError, match='on one device'):
        dynamic_conv2d(torch.zeros(1, 1, 3, 3, 9), torch.zeros(1, 1, 3, 3, 2, dtype=torch.long))
