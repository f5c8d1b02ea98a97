"""Unreadable images: skipped while they are few, named, and never skipped in validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from ... import fake_data
from ...user import CLASSIFIER, ROOT

PART = ROOT / 'configs/_base_/datasets/tiny_imagenet.py'
UNREADABLE = """
train_cfg = dict(by_epoch=True, max_epochs=2)
train_dataloader = dict(batch_size=8, num_workers=2, pin_memory=False)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False, pin_memory=False)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=9))
"""


@pytest.fixture
def damaged(tmp_path, monkeypatch) -> Path:
    """100 training images, of which one is damaged and one is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')
    fake_data.tiny_imagenet(tmp_path / 'data', classes=4, images=25)
    train = tmp_path / 'data/train'
    (train / 'n00000002/images/n00000002_3.JPEG').write_bytes(b'')
    picture = train / 'n00000004/images/n00000004_7.JPEG'
    picture.write_bytes(bytes(100) + picture.read_bytes()[100:])
    text = f"_base_ = '{PART}'\n" + CLASSIFIER + UNREADABLE
    (tmp_path / 'config.py').write_text(text)
    return tmp_path


def log_of(home: Path) -> str:
    (path,) = home.glob('work/*/*.log')
    return path.read_text()


def train(tool, share: float, *options: str) -> None:
    with open('config.py', 'a') as file:
        file.write(f"custom_hooks = [dict(type='ImageGuard', max_share={share})]\n")
    options = ['data_root=data', 'num_classes=4', *options]
    tool('train')(['config.py', '--work-dir', 'work', '--cfg-options', *options])


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_a_few_unreadable_images(damaged, tool, start):
    train(tool, 0.02, f'train_dataloader.multiprocessing_context={start}')
    log = log_of(damaged)
    for name in ('n00000002/images/n00000002_3.JPEG', 'n00000004/images/n00000004_7.JPEG'):
        assert log.count(f"unreadable image, skipped: 'data/train/{name}'") == 1
    assert log.count('2 of 100 training images cannot be read and are skipped (2.00% may be)') == 2
    assert 'Epoch(val) [2]' in log


@pytest.mark.parametrize('workers', [0, 2])
def test_too_many_unreadable_images(damaged, tool, capsys, workers):
    with pytest.raises(SystemExit) as stop:
        train(
            tool,
            0.01,
            f'train_dataloader.num_workers={workers}',
            f'train_dataloader.persistent_workers={bool(workers)}',
        )
    error = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2
    assert error.startswith('error: ')
    assert '2 of 100 training images cannot be read, such as ' in error
    assert 'more than max_share=0.01 of the ImageGuard hook allows' in error


def test_unreadable_image_in_validation(damaged, tool, capsys):
    (damaged / 'data/val/images/val_9.JPEG').write_bytes(b'')
    with pytest.raises(SystemExit) as stop:
        train(tool, 0.02)
    assert stop.value.code == 2
    expected = "error: image 'data/val/images/val_9.JPEG' cannot be read: it is empty (0 bytes)"
    assert capsys.readouterr().err.splitlines()[-1] == expected


def test_share_out_of_range(damaged, tool, capsys):
    with pytest.raises(SystemExit):
        train(tool, 2)
    assert 'max_share=2 is not a number from 0 to 1' in capsys.readouterr().err
