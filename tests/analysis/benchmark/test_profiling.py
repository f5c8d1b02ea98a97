"""Whom time and memory are counted for."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from mmoverlock.analysis.benchmark.profiling import OTHER, Meter, attributed, in_turns, peak_memory
from mmoverlock.analysis.benchmark.slow_paths import slow_model, slow_operators, slow_process
from mmoverlock.models import ContMixBlock
from mmoverlock.ops import _numba, backend, explain


class Clock:
    """Counts what the layers below add to it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Tick(torch.autograd.Function):
    """Adds to the clock, ten times as much in the backward pass."""

    @staticmethod
    def forward(ctx, x, clock, amount):
        ctx.clock, ctx.amount = clock, amount
        clock.now += amount
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        ctx.clock.now += 10 * ctx.amount
        return grad.clone(), None, None


class Layer(nn.Module):
    def __init__(self, clock: Clock, amount: float, inner: nn.Module | None = None):
        super().__init__()
        self.clock, self.amount, self.inner = clock, amount, inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = Tick.apply(x, self.clock, self.amount)
        return self.inner(x) if self.inner else x


def test_every_amount_counts_for_the_innermost_part():
    clock = Clock()
    first = Layer(clock, 1)
    outer = Layer(clock, 2, inner=Layer(clock, 3))
    meter = Meter(clock)
    x = torch.ones(1, requires_grad=True)
    with attributed(meter, {'first': first, 'outer': outer, 'outer.inner': outer.inner}):
        y = Tick.apply(outer(first(first(x))), clock, 4)
        meter.watch_backward(y, 'backward of ')
        y.backward()
    clock.now += 100  # not theirs
    assert {part: n for part, n in meter.amounts.items() if n} == {
        'first': 2,
        'outer': 2,
        'outer.inner': 3,
        OTHER: 4,
        'backward of first': 20,
        'backward of outer': 20,
        'backward of outer.inner': 30,
        f'backward of {OTHER}': 40,
    }
    assert 'forward' not in vars(first)  # the module is as it was


def test_a_failure_leaves_the_modules_as_they_were():
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError), attributed(Meter(Clock()), {'layer': layer}):
        layer(torch.zeros(1, 3))
    assert 'forward' not in vars(layer)


@pytest.mark.skipif(not os.path.exists('/proc/self/statm'), reason='needs Linux')
def test_peak_memory_is_not_hidden_by_what_was_freed():
    def run() -> float:
        return sum(array.sum() for array in [np.ones(2**20) for _ in range(8)])  # of 8 MiB each

    for _ in range(3):
        assert 60e6 < peak_memory(run) < 120e6


def test_in_turns():
    calls = []
    rivals = {name: lambda name=name: calls.append(name) for name in 'ab'}
    seconds = in_turns(rivals, 3)
    assert {name: len(times) for name, times in seconds.items()} == {'a': 3, 'b': 3}
    assert ''.join(calls) == 'abababab'


def test_slow_operators(monkeypatch):
    monkeypatch.delenv('MMOVERLOCK_BACKEND', raising=False)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    block = ContMixBlock(16, kernel_size=5, num_heads=2)

    def slow() -> list[str]:
        ran = explain(block, torch.zeros(2, 16, 8, 8))
        return list(slow_operators(ran, torch.device('cpu')))

    assert slow() == []
    with backend('reference'):
        (unfold,) = slow()
    assert unfold.endswith('unset MMOVERLOCK_BACKEND to run numba')
    hook = block.mlp[1].register_forward_hook(lambda *args: None)
    assert slow() == ['conv_mlp runs layer by layer: a layer has hooks']
    hook.remove()
    with monkeypatch.context() as patch:
        patch.setattr(_numba, '_missing', lambda: 'numba is not installed: pip install numba')
        missing = slow()
    assert missing[0].endswith('numba is not installed: pip install numba')
    assert slow() == []


def test_slow_model():
    cpu, gpu = torch.device('cpu'), torch.device('cuda')
    block, plain = ContMixBlock(16, kernel_size=5, num_heads=2), nn.Linear(2, 2)
    assert list(slow_model(block, cpu, half=False)) == []
    (merge,) = slow_model(block.eval(), cpu, half=False)
    assert 'not merged' in merge
    (precise,) = slow_model(plain, gpu, half=False)
    assert "amp='bfloat16'" in precise
    assert list(slow_model(plain, gpu, half=True)) == []
    plain.use_checkpoint = (0, 2, 0, 0)
    (twice,) = slow_model(plain, cpu, half=False)
    assert twice.startswith('gradient checkpointing runs blocks twice')


def test_slow_process(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda _: {0, 1}, raising=False)
    monkeypatch.setattr('torch.get_num_threads', lambda: 1)
    monkeypatch.setenv('MALLOC_MMAP_THRESHOLD_', '4294967296')
    assert list(slow_process()) == ['one thread of 2 cores: set OMP_NUM_THREADS=2']

    monkeypatch.setattr('torch.get_num_threads', lambda: 2)
    assert list(slow_process()) == []
    monkeypatch.delenv('MALLOC_MMAP_THRESHOLD_')
    monkeypatch.setattr('platform.libc_ver', lambda: ('glibc', '2.36'))
    (mapped,) = slow_process()
    assert 'set MALLOC_MMAP_THRESHOLD_=4294967296' in mapped
    assert list(slow_process(peak=1 << 20)) == []
    monkeypatch.setenv('LD_PRELOAD', '/usr/lib/libjemalloc.so.2')
    assert list(slow_process()) == []
