"""Environment variables that the package sets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = 'import os; {first}; import mmoverlock; print(os.environ.get("GOMP_SPINCOUNT"))'


@pytest.mark.parametrize(
    ('given', 'first', 'count'),
    [
        ({}, 'pass', '1000'),
        ({}, 'import torch', 'None'),  # it has read the variable
        ({'GOMP_SPINCOUNT': '7'}, 'pass', '7'),
        ({'OMP_WAIT_POLICY': 'PASSIVE'}, 'pass', 'None'),
    ],
    ids=['default', 'too late', 'own count', 'own policy'],
)
def test_idle_threads_give_way_unless_the_user_decides(given, first, count):
    names = ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY')
    env = {key: value for key, value in os.environ.items() if key not in names} | given
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT.format(first=first)],
        capture_output=True, text=True, env=env, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == count
