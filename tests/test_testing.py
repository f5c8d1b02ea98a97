"""The helpers of the tests: a check that is passed must mean something."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from numba import njit

from .testing import ALLOCATORS, assert_close, poison_empty, randn


def test_close_and_not_close():
    expected = torch.tensor([1.0, -4.0, 0.0])
    assert_close(expected + 3.9e-4, expected, 1e-4)
    assert_close({'a': [expected]}, {'a': (expected,)}, 0)
    assert_close(expected.numpy(), expected, 0)
    assert_close(expected.bfloat16(), expected, 0, dtype=torch.bfloat16)
    assert_close(torch.zeros(0, 3), torch.zeros(0, 3))
    assert_close(torch.tensor([1e-5]), torch.zeros(1), 1e-4, floor=1)
    with pytest.raises(
        AssertionError, match=r'^grad\[1\]: error 0.0005 at \(2,\); allowed is 0.0004'
    ):
        off = expected + torch.tensor([0, 0, 5e-4])
        assert_close([expected, off], [expected, expected], 1e-4, 'grad')


@pytest.mark.parametrize(
    'actual',
    [
        torch.tensor([1.0, float('nan')]),
        torch.tensor([1.0, float('inf')]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([1.0, 0.0], dtype=torch.float64),
        torch.tensor([1.0, 2e-4]),
    ],
    ids=['NaN', 'infinity', 'shape', 'dtype', 'value'],
)
def test_what_is_refused(actual):
    with pytest.raises(AssertionError, match='^y: '):
        assert_close(actual, torch.tensor([1.0, 0.0]), 1e-4, 'y')


def test_other_entries_are_refused():
    x = torch.ones(1)
    for actual, expected in (([x], [x, x]), ({'a': x}, {'b': x})):
        with pytest.raises(AssertionError):
            assert_close(actual, expected)


def test_small_elements_count_elementwise():
    actual, expected = torch.tensor([1e6, 1.001]), torch.tensor([1e6, 1.0])
    assert_close(actual, expected, 1e-6)
    with pytest.raises(AssertionError, match='Mismatched elements: 1 / 2'):
        assert_close(actual, expected, 1e-6, elementwise=True)


def test_empty_tensors_are_poisoned():
    x = randn(3, 4)
    arguments = {
        'empty': (2, 3),
        'empty_like': (x,),
        'empty_strided': ((2, 3), (3, 1)),
        'empty_permuted': ((2, 3), (1, 0)),
        'new_empty': (x, (2, 3)),
        'new_empty_strided': (x, (2, 3), (3, 1)),
    }
    before = [getattr(owner, name) for owner, name in ALLOCATORS]
    with poison_empty():
        for owner, name in ALLOCATORS:
            for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64):
                made = getattr(owner, name)(*arguments[name], dtype=dtype)
                assert made.dtype == dtype and made.isnan().all(), name
            made = getattr(owner, name)(*arguments[name], dtype=torch.int32)
            assert (made == 2**31 - 1).all(), name
        assert torch.empty(3, dtype=torch.bool).all()
        assert torch.empty(3, requires_grad=True).requires_grad
        assert torch.empty(3, device='meta').is_meta
        with pytest.raises(AssertionError, match='error nan'):
            out = torch.empty_like(x)
            out[:, :3] = x[:, :3]  # a kernel that forgets the last column
            assert_close(out, x)
    assert [getattr(owner, name) for owner, name in ALLOCATORS] == before


@njit
def uninitialised(size):
    return np.empty(size)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'mallopt'), reason='needs glibc')
def test_memory_of_compiled_loops_is_poisoned():
    """glibc's bytes: 0xBF in each of a float64."""
    poison = np.frombuffer(b'\xbf' * 8)[0]
    with poison_empty():
        for size in (200, 5000, 10**6):
            assert (uninitialised(size) == poison).all(), size
    assert not (uninitialised(10**6) == poison).all()
