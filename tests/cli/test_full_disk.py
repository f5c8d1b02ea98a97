"""A file that does not fit on the disk is named, and no part of it is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.runner import Runner

from mmoverlock.apis import Inferencer

from ..user import file_limit

TEST_CASES = [
    ('cls', '--out', 'found.pkl', ''),
    ('seg', '--pseudo-labels', 'labels', '/000000.png'),
    ('cls', '--show-dir', 'drawn', '.png'),
    ('det', '--show-dir', 'drawn', '/000000.png'),
    ('seg', '--show-dir', 'drawn', '.png'),
]


def check_end(stop, capsys, out, name, end):
    """One line, which names a file below `out`; neither it nor another of its kind is there."""
    (line,) = [x for x in capsys.readouterr().err.splitlines() if not x.startswith('warning: log')]
    assert stop.value.code == 2
    assert line.startswith(f"error: '{out / name}")
    assert line.endswith(f"{end}' cannot be written: File too large")
    suffix = Path(line.split("'")[1]).suffix
    assert not list(out.rglob(f'*{suffix}'))


@pytest.mark.parametrize(('task', 'option', 'name', 'end'), TEST_CASES)
def test_test(at_home, tool, tmp_path, monkeypatch, capsys, task, option, name, end):
    def run(self, test=Runner.test):
        with file_limit(20):
            return test(self)

    monkeypatch.setattr(Runner, 'test', run)
    out = tmp_path / 'out'
    out.mkdir()
    options = [option, str(out / name), '--work-dir', str(tmp_path / 'work')]
    with pytest.raises(SystemExit) as stop:
        tool('test')([f'{task}.py', f'{task}.pth', *options])
    check_end(stop, capsys, out, name, end)


@pytest.mark.parametrize(('task', 'data'), [('cls', 'classes/dark'), ('seg', 'digits_scenes/val')])
def test_infer(at_home, tool, tmp_path, monkeypatch, capsys, task, data):
    def run(self, *arguments, run=Inferencer.run):
        with file_limit(20):
            yield from run(self, *arguments)

    monkeypatch.setattr(Inferencer, 'run', run)
    arguments = [f'{task}.py', f'{task}.pth', f'data/{data}', '--out', str(tmp_path / 'out')]
    with pytest.raises(SystemExit) as stop:
        tool('infer')(arguments)
    check_end(stop, capsys, tmp_path / 'out', '', '.png')
