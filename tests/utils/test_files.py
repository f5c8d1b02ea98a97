"""A file is there only when it is complete."""

import errno
import os
import resource

import pytest

from mmoverlock.utils.files import TEMPORARY, remove_temporaries, write_whole


def test_replaces_a_file_and_makes_its_folder(tmp_path):
    path = tmp_path / 'new/file'
    write_whole(path, b'before')
    write_whole(path, b'after')
    assert path.read_bytes() == b'after'
    assert os.listdir(path.parent) == ['file']


@pytest.mark.parametrize('call', ['fsync', 'replace'])
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_failure_keeps_the_old_file_and_names_it(tmp_path, monkeypatch, call, number):
    path = tmp_path / 'file'
    write_whole(path, b'before')

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError) as error:
        write_whole(path, b'after')
    assert str(error.value) == f"'{path}' cannot be written: {os.strerror(number)}"
    monkeypatch.undo()
    assert path.read_bytes() == b'before' and os.listdir(tmp_path) == ['file']


def test_a_limit_of_the_file_size(tmp_path):
    path = tmp_path / 'file'
    write_whole(path, b'before')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=f"^'{path}' cannot be written: File too large$"):
            write_whole(path, b'x' * 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b'before' and os.listdir(tmp_path) == ['file']


def test_a_file_system_without_flushing(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EINVAL, 'Invalid argument')

    monkeypatch.setattr(os, 'fsync', fail)
    write_whole(tmp_path / 'file', b'after')
    assert (tmp_path / 'file').read_bytes() == b'after'


def test_removes_only_temporaries(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    monkeypatch.setattr(os, 'replace', kill)
    monkeypatch.setattr('pathlib.Path.unlink', kill)  # the dead clean nothing up
    with pytest.raises(Killed):
        write_whole(tmp_path / 'file', b'after')
    monkeypatch.undo()
    (name,) = os.listdir(tmp_path)
    assert TEMPORARY.fullmatch(name)
    users = {'file', f'{name}.bak', name[1:], '.mmoverlock-1-x.unfinished', '.hidden'}
    for user in users:
        (tmp_path / user).touch()
    assert remove_temporaries(tmp_path) == 1
    assert set(os.listdir(tmp_path)) == users
