"""numba is imported on first use, and missing or untested versions of it are no error."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numba
import numpy as np
import pytest
import torch
from numba.core.caching import IndexDataCacheFile

from mmoverlock.ops import _numba, dynamic_conv2d, explain
from mmoverlock.ops._numba import compile as compiling
from mmoverlock.ops.conv1x1 import Conv1x1
from mmoverlock.ops.conv_mlp import numba_kernels

from ...testing import dynamic_conv_inputs

IMPORT = """
import os, sys
import mmoverlock
loaded = {'numba', 'llvmlite'} & sys.modules.keys()
assert not loaded, loaded
print(os.environ.get('GOMP_SPINCOUNT'))
"""
# What users without numba have: the import fails.
WITHOUT = """
import sys
sys.modules['numba'] = None
import torch
import mmoverlock
from mmoverlock.models import OverLoCK
model = OverLoCK('xxt').eval()
told = mmoverlock.ops.explain(model, torch.zeros(1, 3, 32, 32))
assert told.backends('contmix') == {'reference'}, told
print(told.reasons('contmix', 'numba'))
"""


def run(script: str) -> str:
    decided = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')
    env = {name: value for name, value in os.environ.items() if name not in decided}
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_does_not_import_it():
    """But sets how idle threads wait, before PyTorch is there."""
    assert run(IMPORT).split()[-1] == '1000'


def test_the_reference_serves_without_it():
    assert 'numba cannot be imported' in run(WITHOUT)


@pytest.fixture
def installed(monkeypatch):
    def install(version):
        def find(name):
            if version is None:
                raise PackageNotFoundError(name)
            return version

        _numba._missing.cache_clear()
        monkeypatch.setattr(_numba, 'version', find)

    yield install
    _numba._missing.cache_clear()


@pytest.mark.parametrize('version', [None, '0.61.2', '0.69.0', '1.0.0rc1'])
def test_versions_that_are_not_used(version, installed):
    installed(version)
    reason = _numba.unavailable(torch.device('cpu'))
    assert reason.startswith(f'numba {version} is' if version else 'numba is not installed')
    assert 'pip install "numba>=' in reason
    (kernels, value), _ = dynamic_conv_inputs((1, 1, 5, 5, 2, 3))
    with pytest.raises(ValueError, match='cannot run here: numba'):
        dynamic_conv2d(kernels, value, backend='numba')
    dynamic_conv2d(kernels, value)
    assert not explain(Conv1x1(2, 3).eval(), torch.zeros(1, 2, 3, 3)).backends('contmix')


@pytest.mark.parametrize('version', ['0.68.0', '0.68.1', '0.68.9'])
def test_versions_that_are_used(version, installed):
    installed(version)
    assert _numba.missing() is None


def test_the_requirement_is_the_tested_range(request):
    text = (request.config.rootpath / 'requirements/runtime.txt').read_text()
    low, high = _numba.TESTED
    assert f'numba>={low},<{high}' in text


def test_compiled_loops_are_kept_for_one_state_of_the_sources(tmp_path, monkeypatch):
    """A change in any kernel's file makes the compiled code of all of them stale."""
    (tmp_path / 'some').mkdir()
    (tmp_path / '_numba').mkdir()
    kernels = tmp_path / 'some' / 'numba_kernels.py'
    kernels.write_text('a = 1')
    monkeypatch.setattr(compiling, 'OPS', tmp_path)
    read = compiling.fingerprint.__wrapped__
    before = read()
    assert read() == before
    kernels.write_text('a = 2')
    assert read() != before
    (tmp_path / '_numba' / 'simd.py').write_text('')
    (tmp_path / 'some' / 'triton_kernels.py').write_text('')
    changed = read()
    (tmp_path / 'some' / 'triton_kernels.py').write_text('b = 1')
    assert read() == changed


def test_numba_compares_the_fingerprint(tmp_path, monkeypatch):
    """As its cache does: an index of another fingerprint is not used."""
    monkeypatch.setattr(numba.config, 'CACHE_DIR', str(tmp_path))
    for mark, hits in (('a', 0), ('a', 1), ('b', 0), ('b', 1)):
        monkeypatch.setattr(compiling, 'fingerprint', lambda mark=mark: mark)
        clear = compiling.jit(numba_kernels.clear.py_func)
        clear(np.ones(64, np.float32), 0, 64)
        assert sum(clear.stats.cache_hits.values()) == hits, mark


def test_no_process_finds_stale_code_where_another_will_write(tmp_path, monkeypatch):
    """numba's index names a file before it is written; an older one must not be there."""
    monkeypatch.setattr(numba.config, 'CACHE_DIR', str(tmp_path))

    def hits(mark, process):
        monkeypatch.setattr(compiling, 'fingerprint', lambda: mark)
        monkeypatch.setattr(compiling, 'PROCESS', process)
        clear = compiling.jit(numba_kernels.clear.py_func)
        clear(np.ones(64, np.float32), 0, 64)
        return sum(clear.stats.cache_hits.values())

    assert [hits('a', 'first'), hits('a', 'second')] == [0, 1]
    with monkeypatch.context() as patch:  # as if the next process looked before it was written
        patch.setattr(IndexDataCacheFile, '_save_data', lambda *args: None)
        assert hits('b', 'third') == 0
    assert [hits('b', 'fourth'), hits('b', 'fifth')] == [0, 1]
