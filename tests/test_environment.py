"""Environment variables that the package sets."""

from __future__ import annotations

import os
import sys

import pytest

from mmoverlock.environment import limit_spinning


@pytest.mark.parametrize(
    ('given', 'modules', 'count'),
    [
        ({}, {}, '1000'),
        ({}, {'torch': None}, None),  # it has read the variable
        ({'GOMP_SPINCOUNT': '7'}, {}, '7'),
        ({'OMP_WAIT_POLICY': 'PASSIVE'}, {}, None),
    ],
    ids=['default', 'too late', 'own count', 'own policy'],
)
def test_idle_threads_give_way_unless_the_user_decides(given, modules, count, monkeypatch):
    for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, 'modules', modules)
        limit_spinning()
    assert os.environ.get('GOMP_SPINCOUNT') == count
    monkeypatch.delenv('GOMP_SPINCOUNT', raising=False)
