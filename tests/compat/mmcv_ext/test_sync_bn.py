"""MMSyncBN: its local steps, with processes replaced by threads."""

import threading

import mmcv._ext as ext
import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import sync_bn

from ...testing import assert_close
from .common import assert_runs_on_any_device, randn


class Threads:
    """Stands in for torch.distributed: ``all_reduce`` sums over threads."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count, timeout=30)
        self.waiting = {}

    def all_reduce(self, tensor, group):
        self.waiting[group] = tensor.clone()  # the group tells who we are
        self.barrier.wait()
        tensor.copy_(sum(self.waiting[rank] for rank in sorted(self.waiting)))
        self.barrier.wait()

    def run(self, function, *arguments):
        results = {}

        def work(rank):
            results[rank] = function(rank, *(x[rank] for x in arguments))

        threads = [threading.Thread(target=work, args=[i]) for i in range(self.barrier.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [results[rank] for rank in sorted(results)]


def batch_norm(x, weight, bias, mean, var, ranks=1, rank=0):
    return sync_bn.SyncBatchNormFunction.apply(
        x, mean, var, weight, bias, 0.1, 1e-5, rank, ranks, 'default'
    )


def parameters(device='cpu'):
    weight, bias, mean = (randn(3, seed=seed).float().to(device) for seed in (2, 3, 4))
    return weight.requires_grad_(), bias.requires_grad_(), mean, mean.new_tensor([1, 2, 0.5])


def reference(x, weight, bias, mean, var, grad):
    """torch's batch norm over the whole batch: result, gradients, running statistics."""
    mean, var = mean.clone(), var.clone()
    out = F.batch_norm(x, mean, var, weight, bias, training=True, momentum=0.1, eps=1e-5)
    return out, *torch.autograd.grad(out, (x, weight, bias), grad), mean, var


@pytest.mark.parametrize('shape', [(4, 3, 5, 2), (6, 3, 1), (8, 3)])
def test_one_process_equals_batch_norm(shape, device):
    x = (2 + randn(*shape)).float().to(device).requires_grad_()
    grad, (weight, bias, mean, var) = randn(*shape, seed=1).float().to(device), parameters(device)
    expected = reference(x, weight, bias, mean, var, grad)
    if len(shape) == 2:  # mmcv's wrapper flattens from the third dimension on
        x = x.detach()[..., None].requires_grad_()
        grad, expected = (
            grad[..., None],
            (expected[0][..., None], expected[1][..., None], *expected[2:]),
        )
    out = batch_norm(x, weight, bias, mean, var)
    actual = out, *torch.autograd.grad(out, (x, weight, bias), grad), mean, var
    assert_close(actual, expected, 1e-5)


def test_two_processes_equal_batch_norm_over_both(monkeypatch):
    x, grad = (2 + randn(6, 3, 5, 2)).float(), randn(6, 3, 5, 2, seed=1).float()
    expected = reference(x.requires_grad_(), *parameters(), grad)

    def work(rank, x, grad):
        leaf = x.detach().requires_grad_()
        weight, bias, mean, var = parameters()
        out = batch_norm(leaf, weight, bias, mean, var, ranks=2, rank=rank)
        return out, *torch.autograd.grad(out, (leaf, weight, bias), grad), mean, var

    threads = Threads(2)
    monkeypatch.setattr(sync_bn, 'dist', threads)
    parts = threads.run(work, x.chunk(2), grad.chunk(2))
    joined = [torch.cat(pair) for pair in zip(*(part[:2] for part in parts), strict=True)]
    assert_close(joined, expected[:2], 1e-5)
    for part in parts:  # mmcv gives each process the mean over the processes, which DDP keeps
        assert_close(part[2:4], [g / 2 for g in expected[2:4]], 1e-5)
        assert_close(part[4:], expected[4:], 1e-5)


def test_half_precision(device):
    x, (weight, bias, mean, var) = (2 + randn(4, 3, 5, 2)).to(device).half(), parameters(device)
    exact = x.float().requires_grad_()
    grad = randn(4, 3, 5, 2, seed=1).to(device).half()
    expected = reference(exact, weight, bias, mean, var, grad.float())
    x.requires_grad_()
    out = batch_norm(x, weight, bias, mean, var)
    actual = out, *torch.autograd.grad(out, (x, weight, bias), grad), mean, var
    assert out.dtype == actual[1].dtype == torch.float16
    assert_close(actual[:2], [e.half() for e in expected[:2]], 1e-3)
    assert_close(actual[2:], expected[2:], 1e-5)


def test_without_parameters_and_running_statistics():
    x = randn(4, 3, 10).float()
    norm, out, (mean, var, std) = torch.zeros_like(x), torch.zeros_like(x), torch.zeros(3, 3)
    ext.sync_bn_forward_mean(x, mean)
    ext.sync_bn_forward_var(x, mean, var)
    ext.sync_bn_forward_output(
        x, mean, var, None, None, None, None, norm, std, out, eps=1e-5, momentum=0.1, group_size=1
    )
    assert_close(out, F.batch_norm(x, None, None, training=True), 1e-5)


def test_any_device():
    """The steps alone: mmcv's wrapper admits CUDA tensors only where there is CUDA."""

    def steps(x, weight, bias, mean, var):
        new_mean, new_var, std, grad_weight, grad_bias = (torch.zeros_like(mean) for _ in range(5))
        norm, out, grad_input = (torch.zeros_like(x) for _ in range(3))
        ext.sync_bn_forward_mean(x, new_mean)
        ext.sync_bn_forward_var(x, new_mean, new_var)
        statistics = new_mean, new_var, weight, bias, mean, var
        ext.sync_bn_forward_output(x, *statistics, norm, std, out, 1e-5, 0.1, 1)
        ext.sync_bn_backward_param(out, norm, grad_weight, grad_bias)
        ext.sync_bn_backward_data(out, weight, grad_weight, grad_bias, norm, std, grad_input)
        return grad_input

    weight, bias, mean, var = (x.detach() for x in parameters())
    assert_runs_on_any_device(steps, randn(4, 3, 10).float(), weight, bias, mean, var)
