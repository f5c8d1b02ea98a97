"""What several tests need: the golden numbers of the published networks, and a way to compare."""

from __future__ import annotations

import json
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')  # read when the kernels are first imported

import mmoverlock  # noqa: F401  makes mmcv importable before any test imports mmdet

from .user import at_home, bad, home, tool  # noqa: E402, F401  fixtures

DATA = Path(__file__).parent / 'data'


def draw(seed: int, *shape: int) -> torch.Tensor:
    """The standard normal numbers that the golden files call "drawn from a seed"."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def fill(name: str, shape: list[int]) -> torch.Tensor:
    """The value that the golden networks' parameter `name` has: a rule instead of a weights file."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith('num_batches_tracked'):
        return torch.tensor(0)
    if name.endswith('running_mean'):
        z = 0.1 * z
    elif name.endswith('running_var'):
        z = 0.5 + abs(z)
    elif name.endswith(('.gamma', '.beta')):
        z = 0.1 * z
    elif 'rpb' in name.rpartition('.')[2]:
        z = 0.5 * z
    elif len(shape) == 4 and shape[1:] == [1, 1, 1]:
        z = 1 + 0.1 * z
    elif len(shape) == 1:
        z = 1 + 0.1 * z if name.endswith('weight') else 0.1 * z
    else:
        z = 0.6 * z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(z, dtype=np.float32))


@cache
def manifest(file: str) -> dict[str, dict[str, list[int]]]:
    return json.loads((DATA / file).read_text())


class Golden:
    """Golden arrays and published state dicts."""

    draw = staticmethod(draw)

    @staticmethod
    def arrays(name: str) -> dict[str, np.ndarray]:
        with np.load(DATA / f'{name}.npz') as file:
            return dict(file)

    @staticmethod
    def state_dict(key: str, file: str = 'state_dict_manifest.json') -> dict[str, torch.Tensor]:
        """A published state dict, e.g. 'det/xt', filled by the rule."""
        return {name: fill(name, shape) for name, shape in manifest(file)[key].items()}

    @staticmethod
    def check(actual: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
        """Equal to within `tolerance` of the largest magnitude."""
        actual = actual.detach().numpy()
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.fixture(scope='session')
def golden() -> type[Golden]:
    return Golden


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
