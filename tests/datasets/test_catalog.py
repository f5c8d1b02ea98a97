"""Every row of the catalogue can be prepared, and a missing path leads to its row."""

from __future__ import annotations

import inspect

import pytest
from mmengine.registry import DATASETS

import mmoverlock  # noqa: F401
from mmoverlock.datasets.catalog import CATALOG, remedy


@pytest.mark.parametrize('name', CATALOG)
def test_row(name):
    row = CATALOG[name]
    if row.make:
        parameters = inspect.signature(row.make).parameters
        assert row.check and {*row.options} <= {*parameters}
        assert row.allowed(check=True) == set()
        return
    with DATASETS.switch_scope_and_registry('mmpretrain') as registry:
        kind = registry.get(row.config['type'])
    assert kind is not None
    parameters = inspect.signature(kind.__init__).parameters
    assert {*row.options, *row.config} - {'type'} <= {*parameters}
    assert row.splits and row.allowed(check=True) == {*row.options}
    assert not row.archives or row.root


@pytest.mark.parametrize('name', [name for name, row in CATALOG.items() if row.root])
def test_remedy(name):
    for path in (f'data/{name}', f'/elsewhere/{name}/train'):
        assert remedy(path).split(' --root')[0].endswith(f' {name}')
    assert remedy('data/mine') is None
