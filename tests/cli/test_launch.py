"""The launcher's mistakes; test_tools.py and test_two_processes.py run it."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from mmoverlock.cli.launch import _first, main


@pytest.mark.parametrize(
    ('gpus', 'env', 'message'),
    [
        ('two', {}, "GPUS must be a number of at least 1, got 'two'"),
        ('0', {}, "GPUS must be a number of at least 1, got '0'"),
        ('1', dict(PORT='high'), "PORT must be a number from 1 to 65535, got 'high'"),
        ('1', dict(PORT='in use'), 'cannot be used (Address already in use)'),
        ('1', dict(NNODES='2'), 'NNODES=2 needs MASTER_ADDR'),
        ('1', dict(NNODES='2', NODE_RANK='2'), "NODE_RANK must be a number from 0 to 1, got '2'"),
    ],
)
def test_launcher(gpus, env, message, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(('', 0))
        taken.listen()
        for name, value in env.items():
            port = str(taken.getsockname()[1])
            monkeypatch.setenv(name, port if value == 'in use' else value)
        monkeypatch.setattr('torch.cuda.device_count', lambda: 0)
        with pytest.raises(SystemExit) as stop:
            main([gpus, 'script.py'])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_of_failures_in_one_second_the_first_is_told(tmp_path):
    def failure(rank, written):
        file = tmp_path / f'{rank}.json'
        file.write_text(json.dumps(dict(message=f'error {rank}', timestamp=100)))
        os.utime(file, ns=(written, written))
        return ProcessFailure(local_rank=rank, pid=rank, exitcode=1, error_file=str(file))

    failures = {0: failure(0, 3), 1: failure(1, 2), 2: ProcessFailure(2, 2, -9, 'none')}
    assert _first(failures) == 1
    failures[0].timestamp = 99
    assert _first(failures) == 0


def test_launcher_knows_the_number_of_gpus(monkeypatch, capsys):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    with pytest.raises(SystemExit):
        main(['8', 'script.py'])
    assert capsys.readouterr().err == "error: GPUS must be a number from 1 to 2, got '8'\n"


def test_launcher_loads_no_library_that_its_processes_load_again():
    command = [sys.executable, '-X', 'importtime', '-m', 'mmoverlock.cli.launch', '--help']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    loaded = set(re.findall(r'\| +(\S+)$', done.stderr, re.MULTILINE))
    assert 'torch.distributed.run' in loaded
    assert not {'mmengine', 'mmcv', 'mmdet', 'numba'} & loaded
