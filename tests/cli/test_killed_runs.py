"""A training that is killed 20 times comes to the end that an undisturbed one comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name('killed_run.py')
KILLS = 20


@pytest.mark.parametrize('processes', [1, 2])
def test_killed_runs(tmp_path, processes):
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, str(processes), str(KILLS), str(processes)],
        env=dict(os.environ, MMOVERLOCK_BACKEND='reference', OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        cwd=tmp_path,  # where mmengine puts what several processes exchange
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert 'failed' not in found, found
    moments = found['moments']
    assert len(moments) == KILLS and moments.count('saving') >= 5, moments
    # Of every run: last step, weights, momenta, best score, files, table of the epochs.
    assert found['finished'] >= 1 and found['different'] == []
    assert found['last'] == dict(epoch=6, iter=24)
    if processes == 1:
        check_full_disk(found['disk'], tmp_path / 'disk')


def check_full_disk(found, work_dir):
    """A resumed run, whose checkpoint does not fit, ends in one line and can be resumed."""
    first, full, again = found['first'], found['full'], found['again']
    assert (first['code'], full['code'], again['code']) == (0, 2, 0)
    message = f"error: '{work_dir}/epoch_2.pth' cannot be written: File too large"
    assert full['line'] == message
    assert full['files'] == first['files'] and 'epoch_1.pth' in full['files']
    assert 'epoch_2.pth' in again['files'] and 'epoch_1.pth' not in again['files']
