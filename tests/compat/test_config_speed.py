"""Configs are read and written as MMEngine does it, in a small part of the time."""

import pytest
from mmengine.config import Config, config, utils

from mmoverlock.compat import config_speed

from ..user import ROOT

BASES = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    'mmpretrain::_base_/default_runtime.py',
]
DIGITS = ROOT / 'configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py'


@pytest.mark.parametrize('name', BASES)
def test_a_base_is_the_same_file(name, monkeypatch):
    found = Config._get_cfg_path(name, 'a.py')
    monkeypatch.setattr(config, '_get_external_cfg_path', utils._get_external_cfg_path)
    assert found == Config._get_cfg_path(name, 'a.py')


def test_no_metafile_is_read(monkeypatch):
    monkeypatch.setattr(utils, 'load', None)
    assert Config.fromfile(DIGITS).model.type == 'MaskRCNN'


def test_a_missing_base_is_named():
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Config._get_cfg_path('mmdet::_base_/nowhere.py', 'a.py')


def test_the_text_is_the_same(monkeypatch):
    """Also after a change, and after the change is taken back, which only costs the layout of one."""
    content = dict(optimizer=dict(type='AdamW', lr=1.0, betas=(0.9, 0.999)), steps=[*range(40)])
    cfg, lay_out, texts = Config(content), config_speed._pretty_text, []

    def counted(cfg):
        texts.append(cfg._format_python_code)
        return lay_out(cfg)

    monkeypatch.setattr(config_speed, '_pretty_text', counted)
    monkeypatch.setattr(config_speed, '_texts', {})
    for rate in (0.1, 0.2, 0.1):
        cfg.optimizer.lr = rate
        for _ in range(3):
            assert cfg.pretty_text == lay_out(cfg)
    assert texts.count(True) == 2
    plain = Config(content, format_python_code=False)
    assert plain.pretty_text == lay_out(plain) != cfg.pretty_text


def test_few_texts_are_kept():
    for number in range(2 * config_speed._KEPT):
        assert f'{number}' in Config(dict(number=number)).pretty_text
    assert len(config_speed._texts) == config_speed._KEPT
