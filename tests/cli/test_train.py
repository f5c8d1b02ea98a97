"""What the options of training change in a config."""

import pytest
import torch
from mmengine.config import Config

from mmoverlock.cli import train

from ..user import check


@pytest.mark.parametrize(
    ('bfloat16', 'dtype', 'scale'), [(True, 'bfloat16', 1.0), (False, 'float16', 'dynamic')]
)
def test_amp_prefers_bfloat16(monkeypatch, bfloat16, dtype, scale):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: bfloat16)
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD'))))
    train.use_amp(cfg)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', optimizer=dict(type='SGD'), dtype=dtype, loss_scale=scale
    )


def test_resume_follows_a_moved_work_dir(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    checkpoint = dict(
        state_dict=dict(weight=torch.ones(1)), meta=dict(epoch=3, iter=6), optimizer={},
        message_hub={},
    )  # fmt: skip
    torch.save(checkpoint, tmp_path / 'epoch_3.pth')
    cfg = Config(dict(work_dir=str(tmp_path)))
    train.set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'epoch_3.pth')


@pytest.mark.parametrize('option', ['--resume', '--auto-resume'])
def test_overwrite_does_not_resume(at_home, tool, tmp_path, capsys, option):
    arguments = ['det.py', '--work-dir', str(tmp_path / 'new'), option, '--overwrite']
    check(
        tool, 'train', arguments, f'{option} and --overwrite contradict each other', at_home, capsys
    )


def test_auto_resume_passes_over_nothing_whole(at_home, tool, tmp_path, capsys):
    """A work_dir with damaged checkpoints alone is no new one."""
    (tmp_path / 'iter_2.pth').write_text('half')
    arguments = ['det.py', '--work-dir', str(tmp_path), '--auto-resume']
    check(tool, 'train', arguments, 'passed over iter_2.pth', at_home, capsys)
