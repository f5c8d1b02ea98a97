"""Triton's depthwise convolution against PyTorch's: on a GPU, or else in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ...testing import assert_close, do_not_check_sums

pytest.importorskip('triton')

from mmoverlock.ops.depthwise import triton_gpu  # noqa: E402

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 2e-2}

# (B, C, H, W, K, dilation)
SHAPES = [
    (1, 1, 1, 1, 1, 1), (2, 3, 1, 1, 5, 1), (2, 5, 9, 11, 3, 1), (1, 8, 5, 6, 3, 7), (1, 16, 7, 7, 7, 1),
    (1, 10, 8, 9, 5, 2), (2, 9, 6, 8, 5, 2), (1, 2, 13, 7, 9, 1), (2, 7, 8, 10, 3, 5), (1, 2, 8, 9, 11, 1),
]  # fmt: skip


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    """The interpreter runs one after the other."""
    if DEVICE == 'cpu':
        do_not_check_sums(monkeypatch)
        monkeypatch.setattr(triton_gpu, 'PROGRAMS', 1)


def compare(shape, dtype, channels_last, bias=True):
    batch, channels, height, width, size, dilation = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [(batch, channels, height, width), (channels, 1, size, size), (channels,)]
    x, weight, b = (torch.randn(s, generator=generator).to(DEVICE, dtype) for s in sizes)
    grad = torch.randn(x.shape, generator=generator).to(DEVICE, dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    exact = [tensor.double().requires_grad_() for tensor in (x, weight)]
    wanted = F.conv2d(
        *exact, b.double() if bias else None, 1, dilation * (size // 2), dilation, channels
    )
    wanted.backward(grad.double())
    actual = triton_gpu.forward(x, weight, b if bias else None, dilation)
    assert actual.stride() == x.stride()
    results = actual, *triton_gpu.backward(grad, x, weight, dilation)
    wanted = (wanted, *(tensor.grad for tensor in exact))
    assert_close(results, wanted, TOLERANCE[dtype], dtype=dtype, floor=1e-3)


@pytest.mark.parametrize('index', range(len(SHAPES)))
def test_equals_pytorch(index):
    for channels_last in (False, True) if DEVICE == 'cuda' else (index % 2 == 1,):
        compare(SHAPES[index], torch.float32, channels_last)


def test_kernels_larger_than_the_map():
    compare((1, 1, 3, 4, 13, 1), torch.float32, channels_last=False)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_dtypes(dtype):
    compare(SHAPES[2], dtype, channels_last=True, bias=False)


def test_the_weights_gradient_in_parts(monkeypatch):
    monkeypatch.setattr(triton_gpu, 'PROGRAMS', 50)
    compare(SHAPES[2], torch.float32, channels_last=False)
