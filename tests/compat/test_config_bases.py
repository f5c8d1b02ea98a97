"""Bases of configs in other packages are the files that MMEngine finds, and no metafile is read."""

import pytest
from mmengine.config import Config, config, utils

from ..user import ROOT

BASES = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    'mmpretrain::_base_/default_runtime.py',
]


@pytest.mark.parametrize('name', BASES)
def test_the_same_file(name, monkeypatch):
    found, scope = Config._get_cfg_path(name, 'a.py')
    monkeypatch.setattr(config, '_get_external_cfg_path', utils._get_external_cfg_path)
    assert (found, scope) == Config._get_cfg_path(name, 'a.py')


def test_no_metafile_is_read(monkeypatch):
    monkeypatch.setattr(utils, 'load', None)
    cfg = Config.fromfile(ROOT / 'configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py')
    assert cfg.model.type == 'MaskRCNN'


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Config._get_cfg_path('mmdet::_base_/nowhere.py', 'a.py')
