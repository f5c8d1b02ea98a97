"""The Triton kernels of the branches: on a GPU, or, without one, in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from unittest import mock

import pytest
import torch
from torch import nn

from mmoverlock.ops import dilated_branches

from ... import testing
from ...user import ROOT
from . import common
from .common import formula

pytest.importorskip('triton')

from mmoverlock.ops.dilated_branches import triton_gpu  # noqa: E402

from . import synchronized  # noqa: E402
from .synchronized import BRANCHES, PARTS  # noqa: E402

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
# dtype, layout, shape; the tolerance is that of the dtype.
CASES = [
    (torch.float32, 'channels_last', (2, 5, 9, 8)), (torch.float32, 'contiguous', (3, 9, 4, 5)),
    (torch.float64, 'channels_last', (1, 3, 3, 4)), (torch.float64, 'contiguous', (2, 1, 9, 1)),
    (torch.float16, 'channels_last', (2, 3, 5, 4)), (torch.bfloat16, 'contiguous', (2, 3, 4, 5)),
]  # fmt: skip
TOLERANCES = {
    torch.float32: 2e-5,
    torch.float64: 1e-12,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    """Sums of several parts, by few programs; in the interpreter, no checks of every sum."""
    monkeypatch.setattr(triton_gpu, 'PROGRAMS', 8)
    if DEVICE == 'cpu':
        testing.do_not_check_sums(monkeypatch)


make_arguments = partial(common.make_arguments, BRANCHES, device=DEVICE)


def fused(*args):
    return triton_gpu.dilated_branches.with_statistics(*args)[0]


def check(operator, dtype, layout, shape):
    x, grad = testing.offset_maps(shape, dtype, layout)
    x, grad = x.detach().to(DEVICE).requires_grad_(), grad.to(DEVICE)
    arguments = make_arguments(shape[1], dtype)
    testing.assert_close_with_gradients(operator, formula, x, grad, arguments, TOLERANCES[dtype])
    assert operator(x, *arguments).stride() == x.stride()


@pytest.mark.parametrize(('dtype', 'layout', 'shape'), CASES, ids=str)
def test_equals_pytorch(dtype, layout, shape):
    check(fused, dtype, layout, shape)


def test_parts_of_pixels(monkeypatch):
    """Statistics and sums of several parts, of which the last is smaller."""
    monkeypatch.setattr(triton_gpu, 'PROGRAMS', 10**6)
    check(fused, torch.float64, 'channels_last', (2, 3, 11, 7))


@pytest.mark.skipif(DEVICE == 'cuda', reason='gloo exchanges tensors of the CPU')
def test_synchronized_statistics_are_those_of_the_whole_batch(tmp_path):
    environment = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    command = [sys.executable, synchronized.__file__]
    started = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    for size, name in ranks[0]:
        found = [rank[size, name] for rank in ranks]
        whole = synchronized.train_step(nn.BatchNorm2d, *synchronized.batch(size))
        out, grad_x, grads, statistics = whole
        for part, (one_out, one_grad_x, _, ones) in zip(PARTS[name], found, strict=True):
            testing.assert_close(one_out, out[part], 1e-12)
            testing.assert_close(one_grad_x, grad_x[part], 1e-10, floor=1)
            testing.assert_close(ones, statistics, 1e-12)
        summed = {key: found[0][2][key] + found[1][2][key] for key in grads}
        testing.assert_close(summed, grads, 1e-10, floor=1)


def test_equals_the_layers():
    """Out, gradients and running statistics of a training step."""
    x, grad = synchronized.batch()
    actual = synchronized.train_step(nn.BatchNorm2d, x, grad, device=DEVICE)
    expected = synchronized.train_step(nn.BatchNorm2d, x, grad, 'reference', DEVICE)
    testing.assert_close(actual, expected, 1e-10, floor=1)


def test_mixed_precision():
    """The map is in bfloat16, the parameters and their gradients are in float32."""
    layers = synchronized.layers(nn.BatchNorm2d)
    convs, norms = (modules.float().to(DEVICE) for modules in layers)
    x, grad = synchronized.batch()
    with torch.autocast(DEVICE, torch.bfloat16):
        out = dilated_branches(x.float().to(DEVICE), convs, norms, backend='triton')
    out.backward(grad.bfloat16().to(DEVICE))
    expected, _, grads, _ = synchronized.train_step(nn.BatchNorm2d, x, grad, device=DEVICE)
    testing.assert_close(out, expected, 3e-2, dtype=torch.bfloat16)
    found = {n: p.grad for n, p in nn.ModuleList([convs, norms]).named_parameters()}
    testing.assert_close(found, grads, 5e-2, dtype=torch.float32, floor=1)


def test_second_derivative():
    """It comes from the formula; that of synchronized norms has none."""
    x, _ = testing.offset_maps((2, 2, 3, 4), torch.float64)
    arguments = [x.to(DEVICE), *make_arguments(2, torch.float64)]
    (grad,) = torch.autograd.grad(fused(*arguments).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), x)
    (grad,) = torch.autograd.grad(formula(*arguments).square().sum(), x, create_graph=True)
    testing.assert_close(second, torch.autograd.grad(grad.square().sum(), x)[0], 1e-10)
    operator = triton_gpu.dilated_branches.with_statistics
    with mock.patch.object(triton_gpu, '_gathered', lambda *statistics: statistics):
        out, *_ = operator(*arguments, True)
        with pytest.raises(RuntimeError, match='cannot be differentiated again'):
            torch.autograd.grad(out.sum(), x, create_graph=True)


@pytest.mark.parametrize('layout', testing.LAYOUTS)
def test_operator_is_registered_properly(layout):
    x, _ = testing.offset_maps((2, 3, 5, 4), torch.float32, layout)
    weights, dilations, gammas, betas, eps = make_arguments(3, torch.float32)
    flat = torch.cat([weight.detach().flatten(1) for weight in weights], 1).requires_grad_()
    norms = [torch.stack([t.detach() for t in ts]).requires_grad_() for ts in (gammas, betas)]
    sizes = [weight.shape[-1] for weight in weights]
    torch.library.opcheck(
        torch.ops.mmoverlock.dilated_branches_triton,
        (x.detach().to(DEVICE).requires_grad_(), flat, *norms, sizes, dilations, eps, False),
        test_utils=('test_schema', 'test_faketensor', 'test_autograd_registration'),
    )


@pytest.mark.parametrize('pixels', [0, 1, 64, 38000])
def test_parts_hold_all_pixels(pixels):
    """Of 38000 pixels in 586 parts, the last is empty."""
    plan = triton_gpu._Plan(torch.empty(1, 2, pixels, 1))
    counts = plan.counts(586, torch.device('cpu'))
    assert counts.shape == (586, 1, 1) and counts.sum() == pixels and counts.min() >= 0
