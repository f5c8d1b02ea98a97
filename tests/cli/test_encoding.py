"""Locales that are not UTF-8, and terminals that lack a character."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from mmoverlock.cli import encoding

PROGRAM = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location('encoding', {path!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.use_utf8()
print(sys.argv[1:], [name for name in os.listdir() if name != 'program.py'])
open('written', 'w').write('Größe 猫')
"""


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no locale C')
def test_any_locale_is_utf_8(tmp_path):
    (tmp_path / 'Größe 猫').touch()
    (tmp_path / 'program.py').write_text(PROGRAM.format(path=encoding.__file__))
    env = {**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    env.pop('PYTHONIOENCODING', None)
    done = subprocess.run(
        [sys.executable, 'program.py', 'ü', '--x=a b'], env=env, cwd=tmp_path, capture_output=True
    )
    assert done.stdout.decode() == "['ü', '--x=a b'] ['Größe 猫']\n", done.stderr.decode()
    assert (tmp_path / 'written').read_text('utf-8') == 'Größe 猫'


def test_utf_8_is_left_alone(monkeypatch):
    monkeypatch.setattr(encoding.locale, 'getpreferredencoding', lambda _: 'UTF-8')
    monkeypatch.setattr(encoding.sys, 'getfilesystemencoding', lambda: 'utf-8')
    monkeypatch.setattr(os, 'execv', None)  # calling it would fail
    encoding.use_utf8()


def test_what_the_terminal_lacks_is_escaped(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), 'ascii')
    monkeypatch.setattr(sys, 'stdout', terminal)
    encoding.escape_output()
    print('猫', flush=True)
    assert terminal.buffer.getvalue().strip() == b'\\u732b'


def test_commands_do_both(tool, monkeypatch, capsys):
    called = []
    monkeypatch.setattr('mmoverlock.cli.command.use_utf8', lambda: called.append('utf8'))
    monkeypatch.setattr('mmoverlock.cli.command.escape_output', lambda: called.append('output'))
    monkeypatch.setattr(sys, 'argv', ['train.py', '--nonsense'])
    with pytest.raises(SystemExit):
        tool('train')()
    assert called == ['utf8', 'output']
