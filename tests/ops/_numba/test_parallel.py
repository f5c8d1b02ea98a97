"""Loops on PyTorch's threads: every piece once, on no thread of numba's."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from mmoverlock.ops._numba.parallel import _start_threads, parallel_for


@njit(nogil=True)
def add_one(piece, counts, shift):
    counts[(piece + shift[0]) % len(counts)] += shift[1]


@njit(nogil=True)
def add_one_to_each(pieces, threads, *args):
    parallel_for(add_one, pieces, threads, args)


@pytest.mark.parametrize('threads', [1, 2, 7])
@pytest.mark.parametrize('pieces', [0, 1, 5, 1000])
def test_every_piece_runs_once(pieces, threads):
    counts = np.zeros(pieces + 1)
    for _ in range(10):
        add_one_to_each(pieces, threads, counts, (1, 2.0))
    assert counts[0] == 0 or pieces == 0
    assert (counts[1:] == 20).all()


SCRIPT = """
import os, sys
{before}
import torch
from mmoverlock.ops import depthwise_conv2d
torch.set_num_threads(2)
x = torch.randn(2, 64, 30, 30)
weight = torch.randn(64, 1, 7, 7)
wanted = depthwise_conv2d(x, weight, backend='reference')
before = len(os.listdir('/proc/self/task'))
actual = depthwise_conv2d(x, weight, backend='numba')
assert torch.allclose(actual, wanted, atol=1e-4), (actual - wanted).abs().max()
after = len(os.listdir('/proc/self/task'))
assert after == before, f'{{before}} threads became {{after}}'
assert 'numba.np.ufunc.omppool' not in sys.modules
assert torch.get_num_threads() == 2
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux counts threads in /proc')
@pytest.mark.parametrize(
    'before',
    ['', 'import pathlib; pathlib.Path.glob = lambda *a: []  # no GOMP_parallel is found'],
    ids=['OpenMP', 'threading'],
)
def test_no_threads_stay(before):
    script = SCRIPT.format(before=before)
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_threads_started_for_the_occasion():
    calls = []
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(calls.append)
    _start_threads(ctypes.cast(work, ctypes.c_void_p).value, 17, 3, 0)
    assert calls == [17, 17, 17]
