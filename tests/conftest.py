"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')  # read when the kernels are first imported

import mmoverlock  # noqa: F401  makes mmcv importable before any test imports mmdet

from .testing import golden_state_dict, poison_empty

POISONED = [Path(__file__).parent / folder for folder in ('ops', 'models')]


@pytest.fixture(autouse=True)
def poisoned_memory(request) -> Iterator[None]:
    """In tests/ops and tests/models, memory that nobody wrote holds NaN."""
    if any(request.path.is_relative_to(folder) for folder in POISONED):
        with poison_empty():
            yield
    else:
        yield


@pytest.fixture(scope='session')
def golden() -> SimpleNamespace:
    """Published state dicts, for tests that do not import testing.py themselves."""
    return SimpleNamespace(state_dict=golden_state_dict)


@pytest.fixture(params=['reference', 'numba'])
def backend(request, monkeypatch) -> str:
    """Runs a test with each backend of ContMix, and proves that it was that one that ran."""
    from mmoverlock.ops import dynamic_conv

    calls = []
    for name, module in dynamic_conv.BACKENDS.items():
        if not hasattr(module, 'contmix'):
            continue

        def spy(*args, name=name, run=module.contmix):
            calls.append(name)
            return run(*args)

        monkeypatch.setattr(module, 'contmix', spy)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', request.param)
    yield request.param
    assert set(calls) == {request.param}
