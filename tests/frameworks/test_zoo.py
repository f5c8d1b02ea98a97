"""A sample of other people's configs runs with OverLoCK in the place of their backbone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .zoo import KNOWN, alone, known, names

SAMPLE = names()[6::7]  # of the seven, the one that takes least time
WORKS = {'builds': 'yes', 'trains': 'yes', 'predicts': 'yes'}


@pytest.mark.parametrize('name', SAMPLE)
def test_trains_and_predicts(name):
    results = alone(name)
    if known(name):
        assert results != WORKS, f'works: take it out of KNOWN, which says {known(name)}'
    else:
        assert results == WORKS


def test_reasons_are_of_configs():
    for start in KNOWN:
        assert any(name.startswith(start) for name in names()), start


def test_heads_that_use_some_of_the_maps_train_in_two_processes():
    """PSPNet leaves out two maps, RetinaNet one."""
    zoo = Path(__file__).with_name('zoo.py')
    command = [sys.executable, '-W', 'ignore', zoo, '--processes', '2', '::retinanet/', '::pspnet/']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.count(' | yes | ') == 2, done.stdout + done.stderr[-2000:]
