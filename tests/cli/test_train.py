"""What the options of training change in a config."""

import pytest
import torch
from mmengine.config import Config

from mmoverlock.cli import train
from mmoverlock.datasets.formats.label_files import replace_text


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
    cfg = Config(dict(work_dir=str(tmp_path)))
    train.set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'epoch_3.pth')


@pytest.mark.parametrize('linked', [True, False])
def test_data_of_an_earlier_run_come_back_after_an_error(tmp_path, monkeypatch, linked):
    def no_link(source, target):
        raise PermissionError('links are not supported')

    if not linked:
        monkeypatch.setattr(train.os, 'link', no_link)
    folder = tmp_path / 'data'
    files = [folder / name for name in ('instances_val.json', 'written.txt', 'train/a b/1.png')]
    for path in files:
        replace_text(path, 'before')
    with pytest.raises(ValueError, match='of the new data'):
        with train.data_kept_on_error(folder):
            for path in files:
                replace_text(path, 'after')
            raise ValueError('of the new data')
    assert [path.read_text() for path in files] == ['before'] * 3
    with train.data_kept_on_error(folder):
        replace_text(files[0], 'after')
    assert files[0].read_text() == 'after'
    assert [path.name for path in tmp_path.iterdir()] == ['data']
