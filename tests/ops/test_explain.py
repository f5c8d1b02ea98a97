"""explain() in every situation that changes a backend."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmoverlock.models import OverLoCK
from mmoverlock.ops import backend, explain

EVERY = {'contmix', 'conv_mlp', 'depthwise_conv2d', 'dilated_branches'}


@pytest.fixture(autouse=True)
def no_request(monkeypatch):
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return OverLoCK('xxt')


def image(**options):
    return torch.zeros(2, 3, 64, 64, **options)


def test_cpu_training(model):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    told = explain(model.train(), image())
    for operator in ('contmix', 'conv_mlp', 'dilated_branches'):
        assert told.backends(operator) == {'numba'}, operator
        assert told.reasons(operator, 'reference') == {'numba is preferred'}
    (reason,) = told.reasons('contmix', 'triton')
    assert reason in (
        'triton is not installed',
        'triton runs on CUDA and ROCm devices, not on cpu',
        'the interpreter runs only if it is asked for',
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_cpu_inference(model):
    told = explain(model.eval(), image())
    assert told.backends('contmix') == told.backends('conv_mlp') == {'numba'}
    assert told.backends('dilated_branches') == {'reference'}
    frozen = 'a batch norm is frozen or in evaluation mode'
    assert told.reasons('dilated_branches', 'numba') == {frozen}
    model.reparameterize()
    told = explain(model, image())
    assert not told.backends('dilated_branches')
    assert told.backends('depthwise_conv2d') <= {'numba', 'reference'}
    lines = str(told).splitlines()
    assert any(line.startswith('contmix ') and ' numba ' in line for line in lines)


def test_frozen_norm(model):
    model.train()
    branch = model.base_net.blocks1[0].proj[1]
    branch.origin_bn.eval()
    told = explain(model, image())
    assert told.backends('dilated_branches') == {'numba', 'reference'}
    frozen = 'a batch norm is frozen or in evaluation mode'
    assert told.reasons('dilated_branches', 'numba') == {frozen}


@pytest.mark.parametrize('training', [True, False])
def test_hooked_module(model, training):
    called = []
    layer = model.base_net.blocks1[0].proj[7]
    layer.register_forward_hook(lambda *args: called.append(True))
    told = explain(model.train(training), image())
    assert called
    assert told.backends('conv_mlp') == {'numba', 'reference'}
    assert told.reasons('conv_mlp', 'numba') == {'a layer has hooks'}


def test_half_precision(model):
    told = explain(model.eval().bfloat16(), image(dtype=torch.bfloat16))
    assert told.backends('conv_mlp') == {'reference'}
    (reason,) = told.reasons('conv_mlp', 'numba')
    assert reason.startswith('torch.bfloat16 maps')
    assert told.backends('contmix') == {'numba'}


def test_mixed_precision(model):
    with torch.autocast('cpu', torch.bfloat16):
        told = explain(model.eval(), image())
    assert told.backends('conv_mlp') == {'reference'}


def test_export(model):
    told = explain(model.eval(), image(), export=True)
    for operator in EVERY:
        assert told.backends(operator) == {'reference'}, operator
    assert told.reasons('contmix', 'numba') == {'compiled kernels cannot be exported'}


def test_reference_that_was_asked_for(model):
    with backend('reference'):
        told = explain(model.eval(), image())
    assert told.backends('contmix') == {'reference'}
    assert told.reasons('contmix', 'numba') == {'reference was asked for'}


@pytest.mark.parametrize('training', [True, False])
def test_fake_cuda_device(training):
    with FakeTensorMode(), torch.device('cuda'):
        model = OverLoCK('xxt').train(training)
        told = explain(model, image())
    assert told.backends('contmix') == {'triton'}
    assert told.reasons('contmix', 'numba') == {'numba runs on the CPU, not on cuda'}
    assert told.backends('conv_mlp') == {'reference'}
    large_kernel = 'dilated_branches' if training else 'depthwise_conv2d'
    assert 'triton' in told.backends(large_kernel)


def test_a_model_without_operators():
    assert str(explain(nn.Linear(2, 2).eval(), torch.zeros(1, 2))).startswith('no operator')
