"""slurm_train.sh with stand-ins for Slurm's programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .test_tools import run_script

# The n-th call of srun ends with the n-th code.
SRUN = """#!/bin/sh
echo "srun $*" >> calls
n=$(grep -c ^srun calls)
exit "$(echo $CODES | cut -d ' ' -f "$n")"
"""
SCONTROL = """#!/bin/sh
echo "scontrol $*" >> calls
exit "${SCONTROL_CODE:-0}"
"""
SQUEUE = """#!/bin/sh
echo "$STATE"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    for name, text in dict(srun=SRUN, scontrol=SCONTROL, squeue=SQUEUE).items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(codes: str, *options: str, **env: str):
        (tmp_path / 'calls').unlink(missing_ok=True)
        done = run_script(
            'slurm_train.sh', 'part', 'job', 'a.py', *options, cwd=tmp_path, CODES=codes, **env
        )
        calls = Path(tmp_path, 'calls')
        return done, calls.read_text().splitlines() if calls.exists() else []

    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    monkeypatch.delenv('SLURM_JOB_ID', raising=False)
    return run


def test_without_requeue_nothing_is_started_again(slurm):
    done, calls = slurm('75')
    assert done.returncode == 75
    assert len(calls) == 1
    assert '--signal' not in calls[0] and '--auto-resume' not in calls[0]


def test_outside_a_job_slurm_is_asked_again(slurm):
    done, calls = slurm('75 75 0', '--seed', '1', REQUEUE='1')
    assert done.returncode == 0
    assert len(calls) == 3 and len(set(calls)) == 1
    assert '--signal=USR1@120' in calls[0]
    assert calls[0].endswith('a.py --launcher slurm --seed 1 --auto-resume')


@pytest.mark.parametrize('code', [1, 2, 130, 137, 143])
def test_what_is_not_saved_is_not_started_again(slurm, code):
    done, calls = slurm(f'75 {code} 0', REQUEUE='1')
    assert done.returncode == code
    assert len(calls) == 2


def test_a_batch_job_is_requeued(slurm):
    done, calls = slurm('75', REQUEUE='1', SLURM_JOB_ID='17', STATE='RUNNING')
    assert done.returncode == 75
    assert [call.split()[0] for call in calls] == ['srun', 'scontrol']
    assert calls[1] == 'scontrol requeue 17'
    assert done.stderr.endswith('REQUEUE: the training is saved, job 17 is requeued\n')
    done, calls = slurm('0', REQUEUE='1', SLURM_JOB_ID='17', STATE='RUNNING')  # as it is then
    assert (done.returncode, len(calls)) == (0, 1)


def test_a_cancelled_job_is_not_requeued(slurm):
    done, calls = slurm('75', REQUEUE='1', SLURM_JOB_ID='17', STATE='CANCELLED')
    assert (done.returncode, len(calls)) == (75, 1)
    assert 'job 17 is CANCELLED and not requeued' in done.stderr


def test_a_job_that_cannot_be_requeued(slurm):
    done, _ = slurm('75', REQUEUE='1', SLURM_JOB_ID='17', SCONTROL_CODE='1', STATE='RUNNING')
    assert done.returncode == 75
    assert done.stderr.splitlines()[-1].startswith('error: job 17 cannot be requeued')


def test_requeue_is_0_or_1(slurm):
    done, calls = slurm('0', REQUEUE='yes')
    assert (done.returncode, calls) == (2, [])
    assert done.stderr == "error: REQUEUE must be 0 or 1, got 'yes'\n"
