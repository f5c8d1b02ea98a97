"""The MLP's GELU, 3×3 convolution and GRN in one operator, against PyTorch's formulas."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmoverlock.ops import GRN, Conv1x1, ResDWConv, conv_mlp
from mmoverlock.ops import backend as backend_of
from mmoverlock.ops.conv_mlp import GELU, MMAP_THRESHOLD
from mmoverlock.ops.conv_mlp.numba_cpu import gelu_conv_grn
from mmoverlock.ops.dispatch import recording

from ...testing import (
    LAYOUTS,
    MAP_SHAPES,
    assert_close,
    assert_close_with_gradients,
    offset_maps,
    parameters,
)

DTYPES = {torch.float32: 1e-4, torch.float64: 1e-12}


def make_arguments(channels, dtype):
    wide = (1, channels, 1, 1)
    return parameters((channels,), (channels, 1, 3, 3), (channels,), wide, wide, dtype=dtype)


def formula(x, shift, weight, bias, gamma, beta):
    h = F.gelu(x + shift[:, None, None])
    y = h + F.conv2d(h, weight, bias, 1, 1, 1, len(weight))
    norm = torch.linalg.vector_norm(y, dim=(2, 3), keepdim=True)
    return y * (1 + gamma * norm / (norm.mean(1, keepdim=True) + 1e-6)) + beta


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_equals_pytorch(dtype, layout):
    for shape in MAP_SHAPES:
        x, grad = offset_maps(shape, dtype, layout)
        arguments = make_arguments(shape[1], dtype)
        assert_close_with_gradients(gelu_conv_grn, formula, x, grad, arguments, DTYPES[dtype])
        assert gelu_conv_grn(x, *arguments).stride() == x.stride()


def test_strips_of_maps(monkeypatch):
    """Maps are cut where there are more threads than maps; norms are put together again."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 7)
    x, grad = offset_maps((1, 5, 23, 9), torch.float64, 'channels_last')
    arguments = make_arguments(5, torch.float64)
    assert_close_with_gradients(gelu_conv_grn, formula, x, grad, arguments, 1e-12)


def test_expanded_gradient():
    """That of a mean has one element for all pixels."""
    x, _ = offset_maps((2, 17, 6, 8), torch.float64, 'channels_last')
    grad = torch.ones((), dtype=torch.float64).expand(x.shape)
    arguments = make_arguments(17, torch.float64)
    assert_close_with_gradients(gelu_conv_grn, formula, x, grad, arguments, 1e-12)


def test_maps_without_norm_have_finite_gradients():
    x = torch.zeros(2, 5, 6, 7, requires_grad=True)
    _, weight, _, gamma, beta = make_arguments(5, torch.float32)
    gelu_conv_grn(x, torch.zeros(5), weight, torch.zeros(5), gamma, beta).sum().backward()
    assert all(t.grad.isfinite().all() for t in (x, weight, gamma, beta))


@pytest.mark.parametrize('layout', LAYOUTS)
def test_overwrites_its_input_when_asked(layout):
    x, _ = offset_maps((2, 17, 9, 8), torch.float32, layout)
    x, arguments = x.detach(), make_arguments(17, torch.float32)
    with torch.no_grad():
        wanted = gelu_conv_grn(x, *arguments)
        out = gelu_conv_grn(x, *arguments, inplace=True)
    assert out.data_ptr() == x.data_ptr()
    assert torch.equal(out, wanted)


@pytest.mark.parametrize(
    'overwrite',
    [
        lambda x: GRN(6)(x),
        lambda x: gelu_conv_grn(x, *make_arguments(6, torch.float32), inplace=True),
        lambda x: GELU()(x),
    ],
    ids=['GRN', 'gelu_conv_grn', 'GELU'],
)
def test_autograd_knows_what_was_overwritten(overwrite):
    x, _ = offset_maps((2, 6, 9, 8), torch.float32, 'channels_last')
    kept = x.exp()
    with torch.no_grad():
        overwrite(kept)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        kept.sum().backward()


def test_operator_is_registered_properly():
    x, _ = offset_maps((2, 3, 8, 9), torch.float32)
    *given, gamma, beta = make_arguments(3, torch.float32)
    small = [t.detach().flatten().requires_grad_() for t in (gamma, beta)]
    # Schema and fake tensors alone: what is not differentiable has no gradient to compare.
    torch.library.opcheck(
        torch.ops.mmoverlock.gelu_conv_grn,
        (x, *given, *small, 1e-6),
        test_utils=('test_schema', 'test_faketensor', 'test_autograd_registration'),
    )


def test_compiles_into_one_graph():
    compiled = torch.compile(gelu_conv_grn, fullgraph=True, backend='aot_eager')
    x, grad = offset_maps((2, 5, 9, 8), torch.float64)
    arguments = make_arguments(5, torch.float64)
    assert_close_with_gradients(compiled, formula, x, grad, arguments, 1e-12)


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    layers = nn.ModuleList([Conv1x1(4, 9), GELU(), ResDWConv(9), GRN(9), Conv1x1(9, 4)])
    for parameter in layers.parameters():
        nn.init.normal_(parameter)
    return layers


def run(mlp, x, backend=None):
    with recording() as records:
        out = conv_mlp(x, *mlp, backend=backend)
    return out, next(record for record in records if record.operator == 'conv_mlp')


@pytest.mark.parametrize('training', [False, True])
def test_numba_equals_the_layers(mlp, training):
    told = {}
    for name in ('reference', 'numba'):
        layers, x = deepcopy(mlp).double(), offset_maps((2, 4, 12, 10), torch.float64)[0]
        with torch.set_grad_enabled(training), backend_of(name):
            out, record = run(layers, x)
        assert record.backend == name
        told[name] = [out]
        if training:
            out.square().mean().backward()
            told[name] += [x.grad, *(parameter.grad for parameter in layers.parameters())]
    assert_close(told['numba'], told['reference'], 1e-9)


class OtherGELU(GELU):
    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda mlp: mlp[1].register_forward_hook(lambda *args: None), 'has hooks'),
        (lambda mlp: mlp[2].register_full_backward_hook(lambda *args: None), 'has hooks'),
        (lambda mlp: mlp.__setitem__(1, nn.ReLU()), 'a layer is ReLU'),
        (lambda mlp: mlp.__setitem__(1, OtherGELU()), 'a layer is OtherGELU'),
        (lambda mlp: mlp.__setitem__(3, nn.Identity()), 'a layer is Identity'),
        (lambda mlp: setattr(mlp[0], 'bias', None), 'no bias'),
        (lambda mlp: mlp.bfloat16(), 'bfloat16'),
    ],
    ids=['hook', 'backward hook', 'activation', 'subclass', 'norm', 'bias', 'half'],
)
def test_layers_that_run_one_by_one(mlp, change, reason):
    change(mlp)
    x = torch.randn(2, 4, 5, 5, dtype=mlp[0].weight.dtype)
    _, record = run(mlp, x)
    assert record.backend == 'reference' and reason in record.reasons['numba']


def test_large_maps_are_overwritten_layer_by_layer_in_inference(mlp):
    side = int((MMAP_THRESHOLD / 4 / 9) ** 0.5) + 1
    x = torch.zeros(1, 4, side, side)
    with torch.no_grad():
        assert run(mlp, x)[1].backend == 'reference'
        assert run(mlp, x[..., :-2])[1].backend == 'numba'
