"""The whole way, on a model of mmdet and a COCO file."""

import json

import numpy as np
import pytest
from mmengine.config import Config

from mmoverlock.analysis.detection.sample import samples
from mmoverlock.analysis.run import analyze
from mmoverlock.analysis.subject import Subject

NAMES = 'eval', 'confusion', 'calibration', 'errors', 'predictions'


@pytest.fixture
def cfg(at_home):
    cfg = Config.fromfile('det.py')
    cfg.work_dir = str(at_home / 'work_dirs')
    return cfg


def test_every_analysis(cfg, tmp_path):
    folder = tmp_path / 'analysis'
    analyze(cfg, 'det.pth', NAMES, folder, 'cpu')
    found = json.loads((folder / 'analysis.json').read_text())['analyses']
    assert list(found) == list(NAMES)
    truth = json.loads(open('data/digits_scenes/annotations/instances_val.json').read())
    facts = found['confusion']['section']['facts']
    assert facts['objects'] == len(truth['annotations'])
    assert {'box AP', 'mask AP'} < set(found['eval']['section']['facts'])
    for one in found.values():
        for picture in one['section']['pictures']:
            assert (folder / picture['file']).stat().st_size > 1000


def test_predictions_are_in_pixels_of_the_file(cfg):
    cfg.test_dataloader.dataset.pipeline[1].scale = (128, 128)
    seen = [*samples(Subject(cfg, 'det.pth', 'cpu', 1))]
    (one,) = seen
    assert one.size == (64, 64) and len(one.found)
    assert all(mask['size'] == [64, 64] for mask in one.found.masks + one.truth.masks)
    assert np.ptp(one.found.boxes) <= 64
    cfg.test_dataloader.dataset.pipeline[1].scale = (64, 64)
    (same,) = samples(Subject(cfg, 'det.pth', 'cpu', 1))
    assert same.truth.boxes.tolist() == one.truth.boxes.tolist()
