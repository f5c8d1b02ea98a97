"""What an earlier run left in the work_dir survives a command that is refused."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal

import pytest
from mmengine.config import Config

from mmoverlock.cli import work_dir
from mmoverlock.datasets.formats.files import replace_text


@pytest.mark.parametrize('linked', [True, False])
def test_data_of_an_earlier_run_come_back_after_an_error(tmp_path, monkeypatch, linked):
    def no_link(source, target):
        raise PermissionError('links are not supported')

    if not linked:
        monkeypatch.setattr(work_dir.os, 'link', no_link)
    folder = tmp_path / 'data'
    files = [folder / name for name in ('instances_val.json', 'written.txt', 'train/a b/1.png')]
    for path in files:
        replace_text(path, 'before')
    with pytest.raises(ValueError, match='of the new data'):
        with work_dir.data_kept_on_error(folder):
            for path in files:
                replace_text(path, 'after')
            raise ValueError('of the new data')
    assert [path.read_text() for path in files] == ['before'] * 3
    with work_dir.data_kept_on_error(folder):
        replace_text(files[0], 'after')
    assert files[0].read_text() == 'after'
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_overwrite_removes_only_what_a_run_writes(tmp_path):
    ours = {
        'epoch_3.pth', 'iter_400.pth', 'best_coco_bbox_mAP_epoch_3.pth', 'step-7.pth',
        'last_checkpoint',
    }  # fmt: skip
    unfinished = '.mmoverlock-12-0123abcd.unfinished'
    users = {
        'pretrained.pth', 'best_model.pth', 'my_epoch_3.pth', 'epoch_3.pth.bak', 'epoch_best.pth',
        'old.unfinished', '.mmoverlock-notes',
    }  # fmt: skip
    for name in {*ours, *users, unfinished}:
        (tmp_path / name).write_text(name)
    hook = dict(type='CheckpointHook', filename_tmpl='step-{}.pth')
    cfg = Config(dict(work_dir=str(tmp_path), default_hooks=dict(checkpoint=hook)))
    with pytest.raises(ValueError, match='holds the checkpoints of another run'):
        work_dir.earlier_checkpoints(cfg, overwrite=False)
    old = work_dir.earlier_checkpoints(cfg, overwrite=True)
    assert {path.name for path in old} == ours
    work_dir.remove(old, cfg.work_dir)
    assert {path.name for path in tmp_path.iterdir()} == users
    assert work_dir.earlier_checkpoints(cfg, overwrite=False) == []


def test_a_run_from_elsewhere_does_not_write_over_another_one(tmp_path):
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/epoch_4.pth').write_text('precious')
    cfg = Config(dict(work_dir=str(tmp_path / 'here'), resume=True))
    cfg.load_from = str(tmp_path / 'here/epoch_4.pth')
    assert work_dir.earlier_checkpoints(cfg, overwrite=False) == []
    cfg.load_from = str(tmp_path / 'elsewhere/epoch_3.pth')
    with pytest.raises(ValueError, match=r'another run \(epoch_4.pth\)'):
        work_dir.earlier_checkpoints(cfg, overwrite=False)


def hold(folder, begun) -> None:
    with work_dir.claimed(folder):
        begun.set()
        signal.pause()


@contextlib.contextmanager
def running(folder):
    """Another process with a run in `folder`, which is killed in the end."""
    context = multiprocessing.get_context('fork')
    begun = context.Event()
    process = context.Process(target=hold, args=(folder, begun))
    process.start()
    try:
        assert begun.wait(60)
        yield process
    finally:
        process.kill()
        process.join()


def test_a_work_dir_in_use_is_refused_until_its_run_ends(at_home, tool, tmp_path, capsys):
    folder = tmp_path / 'work'
    with running(folder) as process:
        before = sorted(folder.iterdir())
        for options in ([], ['--resume'], ['--auto-resume'], ['--overwrite']):
            capsys.readouterr()
            with pytest.raises(SystemExit) as stop:
                tool('train')(['det.py', '--work-dir', str(folder), *options])
            assert stop.value.code == 2
            message = f"error: work_dir '{folder}' is in use by another run (process {process.pid} "
            assert capsys.readouterr().err.startswith(message)
        assert sorted(folder.iterdir()) == before
    assert (folder / work_dir.LOCK).exists()  # it was killed
    with work_dir.claimed(folder) as new:
        assert new == []
    assert os.listdir(folder) == []


def test_a_lock_does_not_outlive_its_run(tmp_path):
    """It is in the way of nobody, its forks still run, and the folder goes if it is empty."""
    folder = tmp_path / 'a/b'
    with work_dir.claimed(folder):
        with running(tmp_path / 'other'):  # a fork
            pass
        child = multiprocessing.get_context('fork').Process(target=signal.pause)
        child.start()
    assert os.listdir(tmp_path) == ['other']
    try:
        with running(folder):
            with pytest.raises(ValueError, match='is in use'), work_dir.claimed(folder):
                pass
    finally:
        child.kill()
        child.join()


def test_without_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOLCK, 'No locks available')

    with running(tmp_path):
        with monkeypatch.context() as patch:
            patch.setattr(work_dir.fcntl, 'lockf', fail)
            with work_dir.claimed(tmp_path):
                pass
        monkeypatch.setattr(work_dir, 'fcntl', None)  # Windows
        with work_dir.claimed(tmp_path):
            pass
