"""contmix: the numba backend against the reference, and the reference against the definition."""

from __future__ import annotations

import pytest
import torch

from mmoverlock.ops import contmix
from mmoverlock.ops.dynamic_conv2d.reference import aggregate

from ...testing import LargestTensor, assert_close, contmix_inputs, with_gaps

DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}


def run(backend, inputs, grad, sizes, op=contmix):
    for tensor in inputs:
        tensor.grad = None
    out = op(*inputs, *sizes, backend=backend)
    out.backward(grad)
    return [out.detach(), *(tensor.grad.clone() for tensor in inputs)]


SHAPES = [
    (1, 2, 3, 49, 4, 7, 7, 5, 7), (2, 4, 5, 49, 3, 9, 13, 5, 9), (1, 1, 2, 9, 1, 13, 13, 3, 13),
    (2, 2, 4, 49, 16, 15, 13, 5, 13), (1, 2, 1, 4, 5, 5, 6, 5, 5), (1, 3, 7, 49, 7, 17, 19, 5, 17),
]  # fmt: skip


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_numba_equals_reference(shape, dtype):
    inputs, grad = contmix_inputs(shape, dtype)
    results = [run(name, inputs, grad, shape[-2:]) for name in ('numba', 'reference')]
    assert_close(*results, 10 * DTYPES[dtype])


def channels_last(tensor):
    """The same numbers, the channels innermost in memory."""
    last = tensor.detach().flatten(1, -3).contiguous(memory_format=torch.channels_last)
    return last.view(tensor.shape).requires_grad_()


@pytest.mark.parametrize('layout', [channels_last, with_gaps])
def test_numba_takes_any_layout(layout):
    shape = SHAPES[3]
    inputs, grad = contmix_inputs(shape)
    other = [layout(inputs[0]), with_gaps(inputs[1]), layout(inputs[2]), *inputs[3:]]
    assert not other[0].is_contiguous() and not other[2].is_contiguous()
    actual = run('numba', other, layout(grad).detach(), shape[-2:])
    assert_close(actual, run('reference', inputs, grad, shape[-2:]), 1e-4)


@pytest.mark.parametrize('name', ['reference', 'numba'])
@pytest.mark.parametrize('spread', [0.0, 1e4])
def test_is_finite_for_equal_and_for_extreme_logits(name, spread):
    """Equal logits average the window; extreme ones pick a value; nothing overflows."""
    inputs, grad = contmix_inputs((1, 2, 3, 4, 5, 7, 9, 3, 5), torch.float32)
    with torch.no_grad():
        inputs[0].mul_(spread)
        for tensor in inputs[4:]:
            tensor.mul_(spread)
    out, *grads = run(name, inputs, grad, (3, 5))
    assert all(tensor.isfinite().all() for tensor in (out, *grads))
    if not spread:
        value = inputs[2][:, 0]
        equal = torch.full((1, 2, 9, *value.shape[3:]), 1 / 9)
        small = aggregate(equal.expand(len(value), -1, -1, -1, -1), value).flatten(1, 2)
        torch.testing.assert_close(out[:, :10], small)
    else:
        assert out.abs().max() <= inputs[2].abs().max() * 1.0001


def test_equals_the_formula_at_one_pixel():
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


def test_numba_contmix_never_has_the_kernels():
    """No operator returns them, forward or backward (benchmarks/contmix.py measures the memory)."""
    shape = (2, 2, 4, 49, 16, 40, 60, 5, 13)
    inputs, grad = contmix_inputs(shape)
    kernels = 2 * 2 * 40 * 60 * (5**2 + 13**2)
    for name, bound in (('numba', kernels / 2), ('reference', None)):
        with LargestTensor() as mode:
            run(name, inputs, grad, (5, 13))
        assert mode.numel <= bound if bound else mode.numel >= kernels


def test_under_autocast():
    inputs, grad = contmix_inputs(SHAPES[1])
    expected = run('reference', inputs, grad, (5, 9))
    with torch.autocast('cpu', torch.bfloat16):
        out = contmix(*inputs, 5, 9, backend='numba')
    for tensor in inputs:
        tensor.grad = None
    out.backward(grad.bfloat16())
    assert_close(out, expected[0], 2e-2, dtype=torch.bfloat16)
    assert_close([x.grad for x in inputs], expected[1:], 2e-2)


def test_compiles_into_one_graph():
    inputs, grad = contmix_inputs(SHAPES[0])
    compiled = torch.compile(
        lambda *x, backend: 2 * contmix(*x, backend=backend), fullgraph=True, backend='aot_eager'
    )
    actual = run('numba', inputs, grad, (5, 7), compiled)
    assert_close(actual, [2 * x for x in run('numba', inputs, grad, (5, 7))], 1e-6)


@pytest.mark.parametrize('threads', [1, 5, 40])
def test_with_any_number_of_threads(threads, monkeypatch):
    """Maps are cut into strips where there are more threads than maps."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    shape = SHAPES[0]
    inputs, grad = contmix_inputs(shape, torch.float64)
    wanted = run('reference', inputs, grad, shape[-2:])
    assert_close(run('numba', inputs, grad, shape[-2:]), wanted, 1e-11)


def test_refuses_wrong_shapes():
    tensors, _ = contmix_inputs(SHAPES[0])
    with pytest.raises(ValueError, match=r'proj_weight \(74, 49\): \(50, 49\) is needed'):
        contmix(*tensors, 5, 5)
    with pytest.raises(ValueError, match='small_kernel=4: an odd number'):
        tensors[3], tensors[4] = torch.zeros(16 + 49, 49), torch.zeros(16 + 49)
        tensors[5] = torch.zeros(2, 7, 7)
        contmix(*tensors, 4, 7)
    tensors, _ = contmix_inputs(SHAPES[0])
    with pytest.raises(ValueError, match=r'proj_weight \(torch.float64'):
        contmix(*tensors[:3], tensors[3].double(), *tensors[4:], 5, 7)
