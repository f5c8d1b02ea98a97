"""The Triton backend against the reference: on a GPU, or, without one, in Triton's interpreter."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from mmoverlock.ops import _triton, contmix, dynamic_conv2d

from ... import testing

triton = pytest.importorskip('triton')

from mmoverlock.ops.contmix import triton_gpu, triton_kernels  # noqa: E402

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'

# (B, G, c, L, C, H, W, ks, kl): H or W equal to kl, kl = ks, K 1, one head, channels of any number.
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, 1, 1), (2, 2, 3, 4, 2, 4, 5, 1, 1), (1, 2, 2, 9, 3, 3, 3, 3, 1), (1, 1, 4, 4, 1, 3, 5, 1, 3),
    (2, 1, 5, 49, 3, 4, 3, 3, 3), (1, 2, 10, 49, 10, 5, 4, 3, 3), (2, 2, 1, 4, 3, 3, 6, 3, 3), (1, 1, 8, 9, 16, 8, 7, 1, 5),
    (1, 1, 14, 49, 14, 5, 5, 5, 5), (1, 2, 3, 9, 1, 5, 7, 3, 5), (2, 1, 2, 4, 5, 6, 5, 5, 5), (1, 1, 7, 9, 7, 9, 6, 5, 3),
    (1, 1, 16, 49, 16, 7, 7, 5, 7), (1, 1, 24, 49, 24, 7, 9, 5, 7), (1, 2, 1, 4, 1, 8, 7, 1, 7), (1, 1, 3, 9, 33, 9, 9, 3, 9),
    (1, 1, 10, 9, 10, 9, 10, 5, 9), (1, 1, 2, 9, 3, 11, 11, 3, 11), (1, 1, 14, 49, 3, 5, 6, 1, 5), (1, 1, 2, 4, 3, 7, 6, 5, 3),
]  # fmt: skip
LARGE_SHAPES = [(1, 1, 3, 9, 2, 13, 13, 3, 13), (1, 1, 10, 9, 14, 17, 18, 1, 17), (1, 1, 3, 9, 3, 19, 20, 1, 19)]  # fmt: skip


def with_dtypes(shapes):
    """Every shape in float32, every second one in a half precision, too; on a GPU all in both."""
    halves = [torch.float16, torch.bfloat16]
    cases = []
    for index, shape in enumerate(shapes):
        dtypes = halves if DEVICE == 'cuda' else ([], halves[:1], [], halves[1:])[index % 4]
        cases += [(shape, dtype) for dtype in (torch.float32, *dtypes)]
    return cases


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    """In the interpreter, few programs, and no checks of every sum."""
    if DEVICE == 'cpu':
        testing.do_not_check_sums(monkeypatch)
        monkeypatch.setattr(triton_gpu, 'PROGRAMS', 3)


contmix_inputs = partial(testing.contmix_inputs, device=DEVICE)
conv_inputs = partial(testing.dynamic_conv_inputs, device=DEVICE)


def run(op, inputs, grad, *sizes, backend='triton'):
    out = op(*inputs, *sizes, backend=backend)
    return out.detach(), *torch.autograd.grad(out, inputs, grad)


def reference(op, inputs, grad, *sizes, dtype=torch.float64):
    """The same numbers, in a precision whose errors do not count."""
    inputs = [x.detach().to(dtype).requires_grad_() for x in inputs]
    return run(op, inputs, grad.to(dtype), *sizes, backend='reference')


def assert_close(actual, expected, tolerance, dtype):
    for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
        # What is zero but for rounding, as the gradient of one tap's softmax, adds up many pixels.
        floor = 0.2 if e.abs().max() > 1e-9 else 1.0
        testing.assert_close(a, e, tolerance, f'result {index}', dtype=dtype, floor=floor)


def tolerance(dtype):
    return 1e-5 if dtype == torch.float32 else 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize(('shape', 'dtype'), with_dtypes(SHAPES), ids=str)
def test_contmix_equals_reference(shape, dtype):
    inputs, grad = contmix_inputs(shape, dtype)
    actual = run(contmix, inputs, grad, *shape[-2:])
    expected = reference(contmix, inputs, grad, *shape[-2:])
    assert_close(actual, expected, tolerance(dtype), dtype)


@pytest.mark.parametrize('shape', LARGE_SHAPES[: None if DEVICE == 'cuda' else 1], ids=str)
def test_contmix_with_large_kernels_equals_reference(shape):
    inputs, grad = contmix_inputs(shape)
    actual = run(contmix, inputs, grad, *shape[-2:])
    assert_close(actual, reference(contmix, inputs, grad, *shape[-2:]), 1e-5, torch.float32)


# What the products of matrices take: 16 channels of a query, and K at least 9; all else is odd.
ROW_SHAPES = [
    (1, 1, 16, 9, 3, 9, 9, 1, 9), (2, 2, 16, 4, 3, 13, 14, 1, 13), (1, 2, 16, 9, 10, 9, 11, 3, 9),
    (2, 1, 32, 4, 16, 18, 17, 1, 17), (1, 3, 16, 49, 1, 12, 11, 3, 11), (1, 1, 48, 9, 33, 15, 15, 1, 15),
]  # fmt: skip


@pytest.fixture
def by_rows(monkeypatch):
    """The forward kernel multiplies matrices, even where its other form would be chosen."""
    kernel = triton_kernels.contmix_forward
    configs = [one for one in kernel.configs if one.kwargs['ROWS']]
    if DEVICE == 'cpu':
        configs = [triton.Config(dict(BLOCK=128, ROWS=True), num_warps=1)]
        monkeypatch.setattr(triton_gpu, '_precision', lambda query, size: 'ieee')
    monkeypatch.setattr(kernel, 'configs', configs)
    monkeypatch.setattr(kernel, 'cache', {})


@pytest.mark.usefixtures('by_rows')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('shape', ROW_SHAPES, ids=str)
def test_contmix_by_rows_equals_reference(shape, dtype):
    if DEVICE == 'cuda' and dtype == torch.float32:
        pytest.skip('matrix units round float32')
    inputs, grad = contmix_inputs(shape, dtype)
    with torch.no_grad():
        actual = contmix(*inputs, *shape[-2:], backend='triton')
    expected = reference(contmix, inputs, grad, *shape[-2:])
    assert_close([actual], expected[:1], tolerance(dtype), dtype)


@pytest.mark.usefixtures('by_rows')
def test_gradients_of_contmix_by_rows():
    shape, dtype = ROW_SHAPES[0], torch.float16
    inputs, grad = contmix_inputs(shape, dtype)
    actual = run(contmix, inputs, grad, *shape[-2:])
    expected = reference(contmix, inputs, grad, *shape[-2:])
    assert_close(actual, expected, tolerance(dtype), dtype)


@pytest.mark.parametrize(
    ('target', 'dtype', 'channels', 'size', 'deterministic', 'expected'),
    [
        ('sm_90', torch.bfloat16, 16, 13, False, 'tf32'),
        ('sm_80', torch.float16, 32, 9, False, 'tf32'),
        ('gfx90a', torch.float16, 16, 13, False, 'ieee'),
        ('sm_75', torch.float16, 16, 13, False, 'none'),
        ('sm_90', torch.float32, 16, 13, False, 'none'),
        ('sm_90', torch.bfloat16, 14, 13, False, 'none'),
        ('sm_90', torch.bfloat16, 16, 7, False, 'none'),
        ('sm_90', torch.bfloat16, 16, 13, True, 'none'),
    ],
)
def test_where_matrices_are_multiplied(
    monkeypatch, target, dtype, channels, size, deterministic, expected
):
    monkeypatch.setattr(triton_gpu, 'target', lambda: target)
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    query = torch.empty((1, 1, channels, 20, 20), dtype=dtype)
    assert triton_gpu._precision(query, size) == expected


def test_contmix_in_double_precision():
    inputs, grad = contmix_inputs(SHAPES[9], torch.float64)
    actual = run(contmix, inputs, grad, *SHAPES[9][-2:])
    assert_close(actual, reference(contmix, inputs, grad, *SHAPES[9][-2:]), 1e-13, torch.float64)


def test_contmix_is_the_same_from_run_to_run():
    inputs, grad = contmix_inputs(SHAPES[5])
    first, second = (run(contmix, inputs, grad, 3, 3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


CONV_SHAPES = [
    (1, 1, 1, 1, 1, 1), (2, 2, 4, 5, 3, 1), (1, 1, 3, 3, 1, 3), (1, 2, 3, 7, 5, 3), (2, 1, 8, 5, 10, 5), (1, 1, 7, 9, 24, 7),
    (1, 2, 9, 9, 14, 9), (1, 1, 12, 11, 3, 11), (1, 1, 19, 19, 2, 19),
]  # fmt: skip


@pytest.mark.parametrize(('shape', 'dtype'), with_dtypes(CONV_SHAPES), ids=str)
def test_dynamic_conv2d_equals_reference(shape, dtype):
    inputs, grad = conv_inputs(shape, dtype)
    actual = run(dynamic_conv2d, inputs, grad)
    expected = reference(dynamic_conv2d, inputs, grad)
    assert_close(actual, expected, tolerance(dtype), dtype)


def test_strided_tensors():
    shape = (2, 2, 3, 4, 5, 5, 6, 3, 5)
    inputs, grad = contmix_inputs(shape)
    expected = reference(contmix, inputs, grad, 3, 5)
    channels_last = [x.detach().movedim(2, -1).contiguous().movedim(-1, 2) for x in inputs[:1]]
    value = inputs[2].detach().movedim(3, -1).contiguous().movedim(-1, 3)
    strided = [*channels_last, inputs[1].detach().mT.contiguous().mT, value]
    strided += [x.detach().flip(0).contiguous().flip(0) for x in inputs[3:5]]
    strided += [x.detach().mT.contiguous().mT for x in inputs[5:]]
    assert not any(x.is_contiguous() for x in (*strided[:3], *strided[5:]))
    strided = [x.requires_grad_() for x in strided]
    grad = grad.contiguous(memory_format=torch.channels_last)
    assert_close(run(contmix, strided, grad, 3, 5), expected, 1e-5, torch.float32)

    inputs, grad = conv_inputs((2, 2, 6, 5, 3, 5))
    expected = reference(dynamic_conv2d, inputs, grad)
    strided = [x.detach().transpose(1, -1).contiguous().transpose(1, -1) for x in inputs]
    strided = [x.requires_grad_() for x in strided]
    grad = grad.transpose(2, 3).contiguous().transpose(2, 3)
    assert_close(run(dynamic_conv2d, strided, grad), expected, 1e-5, torch.float32)


def test_expanded_gradient():
    inputs, _ = contmix_inputs(SHAPES[5])
    expected = torch.autograd.grad(contmix(*inputs, 3, 3, backend='reference').sum(), inputs)
    actual = torch.autograd.grad(contmix(*inputs, 3, 3, backend='triton').sum(), inputs)
    assert_close(actual, expected, 1e-5, torch.float32)


@pytest.mark.parametrize('scale', [1e4, -1e4])
def test_huge_logits(scale):
    """At 1e4 a float32 is good to 1e-3, and so are weights that come of differences of logits."""
    inputs, grad = contmix_inputs((1, 2, 4, 4, 3, 5, 6, 3, 5))
    with torch.no_grad():
        inputs[4].add_(scale)
    actual = run(contmix, inputs, grad, 3, 5)
    assert_close(actual, reference(contmix, inputs, grad, 3, 5), 5e-3, torch.float32)
    with torch.no_grad():
        inputs[0].mul_(scale)
    assert all(x.isfinite().all() for x in run(contmix, inputs, grad, 3, 5))


def test_one_tap_that_dominates():
    """A tap whose logit is 1e4 above all others has all the weight, be it the first or the last."""
    inputs, grad = contmix_inputs((1, 1, 2, 4, 3, 5, 5, 3, 3))
    with torch.no_grad():
        inputs[4].fill_(-1e4)
        inputs[4][[0, -1]] = 1e4
    actual = run(contmix, inputs, grad, 3, 3)
    assert_close(actual, reference(contmix, inputs, grad, 3, 3), 1e-5, torch.float32)


def test_equal_logits_average_the_window():
    inputs, grad = contmix_inputs((1, 1, 2, 4, 3, 5, 5, 5, 5))
    with torch.no_grad():
        for x in inputs[3:]:
            x.zero_()
    out, *grads = run(contmix, inputs, grad, 5, 5)
    mean = inputs[2].detach().mean((-2, -1), keepdim=True).flatten(1, 3)
    torch.testing.assert_close(out, mean.expand_as(out))
    assert all(x.isfinite().all() for x in grads)


def test_half_precision_near_its_limit():
    """Folded keys and logits above the largest float16, 65504; all are integers, hence exact."""
    inputs, grad = contmix_inputs((1, 1, 4, 49, 3, 5, 5, 3, 5), torch.float16)
    with torch.no_grad():
        inputs[0].mul_(4).round_()
        inputs[1].fill_(300)
        inputs[2].clamp_(-1, 1).mul_(6e4)
        inputs[3].mul_(70).round_()
        for x in inputs[4:]:
            x.zero_()
    actual = run(contmix, inputs, grad, 3, 5)
    expected = reference(contmix, inputs, grad, 3, 5)
    assert_close(actual[:1], expected[:1], tolerance(torch.float16), torch.float16)
    for a, e in zip(actual, expected, strict=True):
        assert not a.isnan().any()
        assert a.isfinite()[e.abs() < 6e4].all()


def test_nan_stays_nan():
    inputs, _ = contmix_inputs((1, 1, 2, 4, 3, 5, 5, 3, 5))
    inputs[0].data[0, 0, 0, 1, 2] = float('nan')
    out = contmix(*inputs, 3, 5, backend='triton')
    assert out[..., 1, 2].isnan().all() and out.isnan().sum() == out.shape[1]


def test_triton_ran():
    inputs, _ = contmix_inputs(SHAPES[2])
    with torch.autograd.profiler.profile() as profile:
        contmix(*inputs, 3, 1, backend='triton').sum().backward()
    names = {event.name for event in profile.function_events}
    assert {'contmix_triton', 'contmix_tritonBackward'} <= names
    inputs, _ = conv_inputs(CONV_SHAPES[2])
    assert 'dynamic_conv2d_triton' in dynamic_conv2d(*inputs, backend='triton').grad_fn.name()


def test_opcheck():
    inputs, _ = conv_inputs((1, 2, 3, 4, 2, 3))
    torch.library.opcheck(torch.ops.mmoverlock.dynamic_conv2d_triton, tuple(inputs))
    query, _, value, _, bias, small, large = contmix_inputs((1, 2, 2, 4, 3, 3, 4, 1, 3))[0]
    keys = torch.randn(1, 2, 2, 10, device=DEVICE, requires_grad=True)
    torch.library.opcheck(
        torch.ops.mmoverlock.contmix_triton, (query, keys, bias, small, large, value)
    )


def test_autocast():
    """Parameters stay in float32, and so do their gradients; maps are bfloat16."""
    shape = (1, 1, 4, 9, 3, 5, 6, 3, 5)
    inputs, grad = contmix_inputs(shape)
    with torch.autocast(DEVICE, torch.bfloat16):
        out = contmix(*inputs, 3, 5, backend='triton')
    assert out.dtype == torch.bfloat16
    grads = torch.autograd.grad(out, inputs, grad.to(out.dtype))
    expected = reference(contmix, inputs, grad, 3, 5)
    assert_close([out.float(), *grads], expected, 0.03, torch.float32)


@pytest.mark.parametrize('op', [contmix, dynamic_conv2d])
def test_compile(op):
    if op is contmix:
        (inputs, grad), sizes = contmix_inputs((1, 1, 3, 4, 2, 5, 6, 3, 5)), (3, 5)
    else:
        (inputs, grad), sizes = conv_inputs((1, 1, 5, 6, 2, 3)), ()

    def twice(*tensors, backend):
        return 2 * op(*tensors, backend=backend)

    compiled = torch.compile(twice, fullgraph=True, backend='aot_eager')
    actual = run(compiled, inputs, grad, *sizes)
    assert_close(actual, run(twice, inputs, grad, *sizes), 0, torch.float32)


def test_where_it_runs(monkeypatch):
    cpu, cuda = torch.device('cpu'), torch.device('cuda')
    assert _triton.unavailable(cuda) is None and _triton.interpreted(cuda) is None
    assert 'only if it is asked for' in _triton.interpreted(cpu)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    assert 'not on cpu' in _triton.unavailable(cpu)
    monkeypatch.setattr(_triton, 'INSTALLED', False)
    assert _triton.unavailable(cuda) == 'triton is not installed'
