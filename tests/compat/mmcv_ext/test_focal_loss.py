"""Focal losses."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmcv import ops

from ...testing import assert_close
from .common import randn

TARGET = torch.tensor([0, 4, 2, 5, 1, 5])  # of 5 classes: 5 is background
WEIGHT = torch.tensor([1.0, 0.5, 2.0, 1.5, 3.0], dtype=torch.float64)


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weight', [None, WEIGHT], ids=['plain', 'weighted'])
def test_sigmoid_focal_loss(weight, gamma, reduction, device):
    logits = (3 * randn(6, 5)).to(device).requires_grad_()
    weight = weight if weight is None else weight.to(device)
    loss = ops.sigmoid_focal_loss(logits, TARGET.to(device), gamma, 0.3, weight, reduction)

    positive = F.one_hot(TARGET, 6)[:, :5].bool().to(device)
    p = logits.sigmoid()
    expected = torch.where(
        positive, -0.3 * (1 - p) ** gamma * p.log(), -0.7 * p**gamma * (1 - p).log()
    )
    if weight is not None:
        expected = expected * torch.cat([weight, weight.new_ones(1)])[TARGET.to(device), None]
    expected = {'none': expected, 'mean': expected.sum() / 6, 'sum': expected.sum()}[reduction]
    assert_close(loss, expected.cpu(), 1e-9)
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert_close(grad, torch.autograd.grad(expected.sum(), logits)[0].cpu(), 1e-9)


def test_sigmoid_focal_loss_equals_torchvision(device):
    logits = randn(6, 5, dtype=torch.float32).to(device)
    positive = F.one_hot(TARGET, 6)[:, :5].float().to(device)
    expected = torchvision.ops.sigmoid_focal_loss(logits, positive, 0.25, 2.0)
    loss = ops.SigmoidFocalLoss(2.0, 0.25, reduction='none')(logits, TARGET.to(device))
    assert_close(loss, expected.cpu(), 1e-6)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weight', [None, WEIGHT], ids=['plain', 'weighted'])
def test_softmax_focal_loss(weight, gamma, reduction, device):
    logits = (3 * randn(6, 5)).to(device).requires_grad_()
    weight = weight if weight is None else weight.to(device)
    loss = ops.softmax_focal_loss(logits, TARGET.to(device), gamma, 0.3, weight, reduction)

    rows = TARGET < 5  # background has no probability to be judged by
    target = TARGET[rows].to(device)
    logp = logits.log_softmax(1)[rows.to(device)].gather(1, target[:, None]).squeeze(1)
    expected = -0.3 * (1 - logp.exp()) ** gamma * logp
    if weight is not None:
        expected = expected * weight[target]
    expected = expected.sum() / (6 if reduction == 'mean' else 1)
    assert_close(loss, expected.cpu(), 1e-9)
    (grad,) = torch.autograd.grad(loss, logits)
    assert_close(grad, torch.autograd.grad(expected, logits)[0].cpu(), 1e-9)


@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_saturated_logits_keep_finite_gradients(name):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = getattr(ops, name)(logits, torch.tensor([0, 0]), 0.5, 0.25, None, 'sum')
    loss.backward()
    assert loss.isfinite() and loss > 10
    assert logits.grad.isfinite().all() and logits.grad[1].abs().max() > 0.1


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_focal_loss_in_half_precision(name, dtype, device):
    logits = randn(6, 5).to(device, dtype).requires_grad_()
    loss = getattr(ops, name)(logits, TARGET.to(device))
    loss.backward()
    assert loss.dtype == logits.grad.dtype == dtype
    exact = logits.detach().float().requires_grad_()
    expected = getattr(ops, name)(exact, TARGET.to(device))
    expected.backward()
    assert_close(loss, expected.cpu(), 8 * torch.finfo(dtype).eps, dtype=dtype)
    assert_close(logits.grad, exact.grad.cpu(), 8 * torch.finfo(dtype).eps, dtype=dtype)
