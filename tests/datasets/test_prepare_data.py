"""tools/prepare_data.py, run as a user would: one clear line when something is wrong."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'prepare_data.py'


def test_makes_the_data_from_any_directory(tmp_path):
    args = ['digits_scenes', '--num-train', '3', '--num-val', '2', '--seed', '5']
    command = [sys.executable, str(TOOL), *args]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    root = tmp_path / 'data' / 'digits_scenes'
    assert len(list((root / 'train').iterdir())) == 3
    assert len(list((root / 'val').iterdir())) == 2
    assert '"seed":5' in (root / 'meta.json').read_text()


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['digits_scenes', '--root', '.'], 'is not a digits scenes folder'),
        (['digits_scenes', '--num-val', '0'], 'num_val must be an integer of at least 1, got 0'),
        (['digits_scenes', '--seed', 'x'], "argument --seed: invalid int value: 'x'"),
        (['no_such_data'], "invalid choice: 'no_such_data'"),
    ],
)
def test_bad_input_ends_in_one_line(tmp_path, monkeypatch, capsys, args, message):
    (tmp_path / 'thesis.txt').write_text('years of work')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['prepare_data.py', *args])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and message in line
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']
