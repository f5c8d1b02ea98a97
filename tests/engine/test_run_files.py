"""A run goes on from the newest whole checkpoint of its work_dir."""

import os

import pytest
import torch
from mmengine.config import Config

from mmoverlock.engine.run_files import is_checkpoint_name, newest_checkpoint

DAMAGE = {
    'cut': lambda path: os.truncate(path, path.stat().st_size // 2),
    'empty': lambda path: os.truncate(path, 0),
    'zeros': lambda path: path.write_bytes(bytes(path.stat().st_size)),
    'flipped': lambda path: flip(path),
    'weights': lambda path: torch.save(dict(state_dict=dict(w=torch.ones(1))), path),
    'text': lambda path: path.write_text('text'),
    'gone': lambda path: path.unlink(),
}


def flip(path):
    data = bytearray(path.read_bytes())
    at = data.index(torch.full((100,), 3.0).numpy().tobytes())
    data[at + 50] ^= 255
    path.write_bytes(data)


def save(path, iteration, time='20240101_000000', **kwargs):
    checkpoint = dict(
        state_dict=dict(w=torch.full((100,), 3.0)), optimizer={}, message_hub={},
        meta=dict(epoch=iteration, iter=iteration, time=time),
    )  # fmt: skip
    torch.save(checkpoint, path, **kwargs)


@pytest.fixture
def work_dir(tmp_path):
    for n in (1, 2, 3):
        save(tmp_path / f'epoch_{n}.pth', n, f'20240101_00000{n}')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def choose(folder, **hook):
    path, passed = newest_checkpoint(
        Config(dict(work_dir=str(folder), default_hooks=dict(checkpoint=hook)))
    )
    return path and os.path.basename(path), passed


def test_takes_the_last_one(work_dir):
    assert choose(work_dir) == ('epoch_3.pth', {})


@pytest.mark.parametrize('damage', DAMAGE)
def test_passes_over_what_is_not_whole(work_dir, damage):
    DAMAGE[damage](work_dir / 'epoch_3.pth')
    name, passed = choose(work_dir)
    assert name == 'epoch_2.pth' and list(passed) == ['epoch_3.pth']
    reason = dict(gone='it does not exist', weights='weights only', text='is a text file')
    assert reason.get(damage, 'is') in passed['epoch_3.pth']
    assert '\n' not in passed['epoch_3.pth'] and str(work_dir) not in passed['epoch_3.pth']
    DAMAGE[damage](work_dir / 'epoch_2.pth')
    DAMAGE[damage](work_dir / 'epoch_1.pth')
    assert choose(work_dir)[0] is None


@pytest.mark.parametrize('content', [b'', b'\0\0', b'\xff\xfe', b'epoch_3', None])
def test_a_damaged_last_checkpoint(work_dir, content):
    last = work_dir / 'last_checkpoint'
    last.unlink() if content is None else last.write_bytes(content)
    assert choose(work_dir)[0] == 'epoch_3.pth'


def test_saved_but_not_yet_named(work_dir):
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    assert choose(work_dir) == ('epoch_3.pth', {})


def test_a_run_that_went_back_is_followed(work_dir):
    """Resumed from epoch 1, it has saved epoch 2 again: epoch 3 is of the run before."""
    save(work_dir / 'epoch_2.pth', 2, '20240101_000009')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_2.pth'))
    assert choose(work_dir)[0] == 'epoch_2.pth'


def test_other_files_are_not_taken(work_dir):
    for name in ('pretrained.pth', 'best_acc_epoch_9.pth', 'epoch_9.pth.bak', '.epoch_9.pth'):
        save(work_dir / name, 9, '20250101_000000')
    (work_dir / 'epoch_8.pth').mkdir()
    assert choose(work_dir) == ('epoch_3.pth', {})


def test_checkpoints_elsewhere(tmp_path):
    folder = tmp_path / 'out/run'
    folder.mkdir(parents=True)
    (tmp_path / 'run').mkdir()
    save(folder / 'step-7.pth', 7)
    assert choose(tmp_path / 'run', out_dir=str(tmp_path / 'out')) == (None, {})
    hook = dict(out_dir=str(tmp_path / 'out'), filename_tmpl='step-{}.pth')
    assert choose(tmp_path / 'run', **hook) == ('step-7.pth', {})
    (tmp_path / 'run/last_checkpoint').write_text(str(folder / 'step-7.pth'))
    assert choose(tmp_path / 'run') == ('step-7.pth', {})  # named
    (tmp_path / 'run/last_checkpoint').write_text('s3://bucket/run/step-7.pth')
    cfg = Config(dict(work_dir=str(tmp_path / 'run')))
    assert newest_checkpoint(cfg).path == 's3://bucket/run/step-7.pth'


def test_a_copied_work_dir_is_its_own(work_dir, tmp_path):
    copy = tmp_path / 'copy'
    copy.mkdir()
    for path in work_dir.glob('*.*'):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / 'last_checkpoint').write_text(str(work_dir / 'epoch_3.pth'))
    assert newest_checkpoint(Config(dict(work_dir=str(copy)))).path == str(copy / 'epoch_3.pth')


def test_the_legacy_format(work_dir):
    save(work_dir / 'epoch_3.pth', 3, '20240101_000003', _use_new_zipfile_serialization=False)
    assert choose(work_dir)[0] == 'epoch_3.pth'
    os.truncate(work_dir / 'epoch_3.pth', 600)
    assert choose(work_dir)[0] == 'epoch_2.pth'


def test_names():
    for name in ('epoch_1.pth', 'iter_20.pth', 'best_coco_bbox_mAP_epoch_3.pth'):
        assert is_checkpoint_name(name)
    for name in ('epoch_x.pth', 'best_.pth', 'xepoch_1.pth', 'epoch_1xpth', 'step-1.pth'):
        assert not is_checkpoint_name(name)
    assert is_checkpoint_name('step-1.pth', 'step-{}.pth')
    assert not is_checkpoint_name('best_a_epoch_1.pth', best=False)
