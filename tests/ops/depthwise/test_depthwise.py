"""depthwise_conv2d: every backend against PyTorch's, the measured choice, and PyTorch's tools."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.fx.experimental.proxy_tensor import make_fx

from mmoverlock.ops import autotune, backend, depthwise, depthwise_conv2d
from mmoverlock.ops.dispatch import recording

from ...testing import assert_close, with_gaps

DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}

# (B, C, H, W, K, dilation): every branch size, maps smaller than the kernel, channels and widths
# that fill no vector and no tile.
SHAPES = [
    (1, 1, 1, 1, 1, 1), (2, 3, 1, 1, 5, 1), (2, 5, 9, 11, 3, 1), (1, 8, 5, 6, 3, 7), (1, 16, 7, 7, 7, 1),
    (2, 40, 14, 15, 13, 1), (1, 17, 28, 27, 17, 1), (2, 24, 9, 30, 5, 2), (1, 3, 4, 4, 19, 1), (3, 33, 6, 8, 9, 2),
    (1, 64, 13, 7, 11, 1), (1, 2, 21, 22, 15, 1), (1, 20, 10, 10, 3, 5), (2, 7, 8, 50, 7, 2), (1, 4, 3, 14, 9, 1),
]  # fmt: skip


def make_inputs(shape, dtype, channels_last=False):
    batch, channels, height, width, size, _ = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [(batch, channels, height, width), (channels, 1, size, size), (channels,)]
    x, weight, bias = (torch.randn(s, generator=generator, dtype=dtype) for s in sizes)
    grad = torch.randn(x.shape, generator=generator, dtype=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return [tensor.requires_grad_() for tensor in (x, weight, bias)], grad


def run(function, inputs, grad, dilation):
    for tensor in inputs:
        tensor.grad = None
    out = function(*inputs, dilation)
    out.backward(grad)
    return [out.detach(), *(tensor.grad for tensor in inputs)]


def expected(x, weight, bias, dilation):
    return F.conv2d(x, weight, bias, 1, dilation * (weight.shape[-1] // 2), dilation, len(weight))


@pytest.fixture(params=['numba', 'reference'])
def only(request):
    """Asks for a backend, and proves that it ran."""
    with backend(request.param), recording() as records:
        yield request.param
    assert {record.backend for record in records} == {request.param}


@pytest.fixture
def measured(monkeypatch):
    """Nothing is asked for, and nothing is measured yet."""
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    monkeypatch.setattr(autotune, '_chosen', {})


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_equals_pytorch(only, dtype, channels_last):
    for shape in SHAPES:
        inputs, grad = make_inputs(shape, dtype, channels_last)
        actual = run(depthwise_conv2d, inputs, grad, shape[-1])
        assert_close(actual, run(expected, inputs, grad, shape[-1]), DTYPES[dtype])
        assert actual[0].stride() == inputs[0].stride()


@pytest.mark.parametrize('only', ['numba'], indirect=True)
def test_half_precision(only):
    """The reference is PyTorch's: on some processors its gradient of the weights is off by 2%."""
    shape = SHAPES[5]
    inputs, grad = make_inputs(shape, torch.float32)
    half = [x.detach().bfloat16().requires_grad_() for x in inputs]
    full = [x.detach().float().requires_grad_() for x in half]
    actual = run(depthwise_conv2d, half, grad.bfloat16(), shape[-1])
    wanted = run(expected, full, grad.bfloat16().float(), shape[-1])
    assert_close(actual, wanted, 0.01, dtype=torch.bfloat16)


def test_without_bias_and_with_gaps(only):
    (x, weight, _), grad = make_inputs(SHAPES[7], torch.float32)
    gaps = with_gaps(x)
    assert not gaps.is_contiguous()
    actual = run(lambda x, w, d: depthwise_conv2d(x, w, dilation=d), [gaps, weight], grad, 2)
    wanted = run(lambda x, w, d: expected(x, w, None, d), [x, weight], grad, 2)
    assert_close(actual, wanted, 1e-5)


def test_threads_do_not_matter(monkeypatch, only):
    """Maps are cut into strips where there are more threads than maps."""
    inputs, grad = make_inputs((1, 3, 23, 9, 7, 1), torch.float32)
    wanted = run(expected, inputs, grad, 1)
    for threads in (1, 5, 40):
        monkeypatch.setattr(torch, 'get_num_threads', lambda threads=threads: threads)
        assert_close(run(depthwise_conv2d, inputs, grad, 1), wanted, 1e-5)


def test_the_fastest_is_measured_once_and_remembered(monkeypatch):
    """Here by made-up clocks: the slower implementation in front must not be kept."""
    monkeypatch.setattr(autotune, '_chosen', {})
    monkeypatch.setattr(autotune, 'BUDGET', 0)
    asked = []

    def seconds(run, device):
        asked.append(run)
        return [2.0, 1.0, 3.0, 4.0][len(asked) - 1]

    monkeypatch.setattr(autotune, '_seconds', seconds)
    candidates = {'first': lambda: 1, 'second': lambda: 2}
    device = torch.device('cpu')
    assert autotune.fastest('kind', candidates, device) == 'second'
    assert autotune.fastest('kind', candidates, device) == 'second'
    assert len(asked) == 2 * autotune.ROUNDS
    assert autotune.choices() == {'kind': 'second'}
    torch.use_deterministic_algorithms(True)
    try:
        assert autotune.fastest('kind', candidates, device) == 'first'
    finally:
        torch.use_deterministic_algorithms(False)
    autotune.clear()
    assert autotune.choices() == {}


def test_a_recorded_graph_holds_the_operator():
    x, weight = torch.randn(1, 3, 5, 5), torch.randn(3, 1, 3, 3)
    with torch.no_grad():
        graph = make_fx(lambda x: depthwise_conv2d(x, weight))(x)
        torch.testing.assert_close(graph(2 * x), depthwise_conv2d(2 * x, weight))
    assert 'mmoverlock.depthwise_conv2d' in graph.code


def test_directions_are_chosen_apart(measured):
    inputs, grad = make_inputs(SHAPES[4], torch.float32)
    run(depthwise_conv2d, inputs, grad, 1)
    assert {kind[0] for kind in autotune.choices()} == {
        'depthwise_conv2d',
        'depthwise_conv2d_backward',
    }
    assert set(autotune.choices().values()) <= {'numba', 'reference'}


def test_nothing_is_measured_where_runs_must_repeat(measured):
    torch.use_deterministic_algorithms(True)
    try:
        inputs, grad = make_inputs(SHAPES[4], torch.float32)
        run(depthwise_conv2d, inputs, grad, 1)
    finally:
        torch.use_deterministic_algorithms(False)
    assert autotune.choices() == {}


def test_reference_and_tracing_take_pytorchs(monkeypatch):
    def refuse(*args):
        raise AssertionError('the operator ran')

    monkeypatch.setattr(depthwise, '_op', refuse)
    module = depthwise.DepthwiseConv2d(16, 7).requires_grad_(False)
    x = torch.randn(1, 16, 7, 7)
    with pytest.raises(AssertionError, match='the operator ran'):
        module(x)
    assert '_convolution' in str(torch.jit.trace(module, x, check_trace=False).graph)
    assert 'aten.conv2d' in str(torch.export.export(module, (x,)).graph)
    with backend('reference'):
        assert torch.equal(module(x), depthwise_conv2d(x, module.weight, module.bias))


def test_autocast_and_compile(monkeypatch):
    (x, weight, bias), grad = make_inputs(SHAPES[5], torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        out = depthwise_conv2d(x, weight, bias)
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert weight.grad.dtype == torch.float32
    compiled = torch.compile(
        lambda *x: 2 * depthwise_conv2d(*x), fullgraph=True, backend='aot_eager'
    )
    actual = run(compiled, [x, weight, bias], grad, 1)
    assert_close(actual, [2 * t for t in run(expected, [x, weight, bias], grad, 1)], 1e-5)


def test_operators_are_registered_properly():
    (x, weight, bias), _ = make_inputs((1, 3, 8, 9, 5, 1), torch.float32)
    for arguments in ((x, weight, bias, 1, 'numba'), (x, weight, None, 1, '')):
        torch.library.opcheck(torch.ops.mmoverlock.depthwise_conv2d, arguments)


@pytest.mark.parametrize('weight', [(3, 1, 4, 4), (2, 1, 3, 3), (3, 1, 3, 5), (3, 3, 3, 3)])
def test_wrong_shapes_are_refused(weight):
    with pytest.raises(ValueError, match='an odd K are needed'):
        depthwise_conv2d(torch.zeros(1, 3, 8, 8), torch.zeros(weight))


def test_backend_by_name(monkeypatch):
    monkeypatch.setattr(autotune, '_seconds', None)  # not asked
    inputs, grad = make_inputs(SHAPES[5], torch.float32)
    wanted = run(expected, inputs, grad, 1)
    for name in ('numba', 'reference'):
        with recording() as records:
            actual = run(lambda *x, name=name: depthwise_conv2d(*x, name), inputs, grad, 1)
        assert {record.backend for record in records} == {name}
        assert_close(actual, wanted, 1e-5)
    with pytest.raises(ValueError, match="unknown backend 'fast': allowed are"):
        depthwise_conv2d(*inputs, backend='fast')


def test_empty_batch():
    x = torch.randn(0, 3, 5, 6, requires_grad=True)
    out = depthwise_conv2d(x, torch.randn(3, 1, 3, 3))
    out.sum().backward()
    assert out.shape == x.grad.shape == x.shape
