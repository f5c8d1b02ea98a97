"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')  # read when the kernels are first imported

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a script
    signal.signal(signal.SIGINT, signal.default_int_handler)

import mmoverlock  # noqa: F401  makes mmcv importable before any test imports mmdet
from mmoverlock.ops import backend as asked_backend
from mmoverlock.ops.dispatch import recording

from .installed import wheel  # noqa: F401  fixture
from .testing import golden_state_dict, poison_empty
from .user import at_home, bad, home, tool  # noqa: F401  fixtures

TESTS = Path(__file__).parent
KERNELS = [TESTS / 'ops', TESTS / 'models']


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Half of the processes start with the kernels' tests and compile numba's loops for the others.

    What would need these loops at once comes last. All else keeps its order.
    """
    at_once = TESTS / 'analysis', TESTS / 'cli/test_benchmark.py', TESTS / 'configs'
    items.sort(key=lambda item: any(map(item.path.is_relative_to, at_once)))
    items.sort(key=lambda item: not any(map(item.path.is_relative_to, KERNELS)))


@pytest.fixture(autouse=True)
def poisoned_memory(request) -> Iterator[None]:
    """In tests/ops and tests/models, memory that nobody wrote holds NaN."""
    if any(map(request.path.is_relative_to, KERNELS)):
        with poison_empty():
            yield
    else:
        yield


@pytest.fixture(scope='session')
def golden() -> SimpleNamespace:
    """Published state dicts, for tests that do not import testing.py themselves."""
    return SimpleNamespace(state_dict=golden_state_dict)


@pytest.fixture(params=['reference', 'numba'])
def backend(request) -> Iterator[str]:
    """Runs a test with each backend, and proves that ContMix ran with it."""
    with asked_backend(request.param), recording() as records:
        yield request.param
    assert {record.backend for record in records if record.operator == 'contmix'} == {request.param}
