"""docker/Dockerfile, as far as reading it goes; test_steps.py carries it out."""

import re
from pathlib import Path

import pytest

from ..user import ROOT
from .interpreter import parse

REPO = Path(ROOT)


@pytest.fixture
def steps() -> list[tuple[str, str]]:
    """The instructions and their arguments, in order."""
    return parse((REPO / 'docker/Dockerfile').read_text())


def test_does_not_run_as_root(steps):
    users = [value for name, value in steps if name == 'USER']
    arguments = dict(value.split('=', 1) for name, value in steps if name == 'ARG')
    assert users == ['${USER_ID}'] and int(arguments['USER_ID']) > 0
    assert [name for name, _ in steps].index('USER') < [name for name, _ in steps].index('COPY')


def test_users_whom_the_system_does_not_know_have_a_home_and_a_name(steps):
    values = dict(
        word.split('=', 1) for name, value in steps if name == 'ENV' for word in value.split()
    )
    shared = next(value for name, value in steps if 'chmod 1777' in value)
    assert values['HOME'] in shared.partition('chmod 1777')[2].split()
    assert values['LOGNAME']  # else getpass.getuser raises


def test_what_is_copied_is_there_and_not_ignored(steps):
    kept = {
        line[1:].strip()
        for line in (REPO / '.dockerignore').read_text().splitlines()
        if line.startswith('!')
    }
    assert all((REPO / name).exists() for name in kept)
    # What setup.py and pip read.
    assert {'mmoverlock', 'configs', 'tools', 'requirements', 'setup.py', 'README.md'} <= kept
    for name, value in steps:
        if name == 'COPY':
            source = value.split()[-2].rstrip('/')
            assert source == '.' or source in kept


def test_installs_pinned_versions_of_files_that_exist(steps):
    text = ' '.join(value for _, value in steps)
    files = re.findall(r'-[rc] (requirements/\w+\.txt)', text)
    assert files and all((REPO / file).is_file() for file in files)
    chosen = {Path(file).stem for file in files}
    assert {'runtime', 'det', 'cls', 'seg', 'data', 'analysis', 'deploy', 'demo'} <= chosen
    for name, value in steps:
        if name == 'RUN' and 'pip install' in value:
            assert '-c requirements/constraints.txt' in value or '--no-deps' in value


def test_starts_the_command_that_setup_installs(steps):
    assert ('ENTRYPOINT', '["mmoverlock"]') in steps
    assert "'mmoverlock = mmoverlock.cli.main:main'" in (REPO / 'setup.py').read_text()
