"""A metric of predictions that are no numbers is never reported in silence."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmoverlock.engine import FiniteScoresGuard
from mmoverlock.engine.hooks import finite_scores_guard

RUNNER = SimpleNamespace()


def classified(score):
    return DataSample(metainfo=dict(img_path='a.png')).set_pred_score(torch.tensor([0.5, score]))


def detected(score):
    sample = DetDataSample(metainfo=dict(img_path='a.png'))
    sample.pred_instances = InstanceData(
        scores=torch.tensor([0.5]), bboxes=torch.tensor([[0, 0, 1, score]])
    )
    return sample


def segmented(score):
    sample = SegDataSample(metainfo=dict(img_path='a.png'))
    sample.seg_logits = PixelData(data=torch.tensor([[[-math.inf, 0, score]]]))
    return sample


@pytest.fixture
def lines(monkeypatch):
    lines = []
    monkeypatch.setattr(
        finite_scores_guard, 'print_log', lambda text, level=logging.INFO, **_: lines.append(text)
    )
    return lines


def run(mode, *samples):
    guard = FiniteScoresGuard()
    for _ in range(2):  # as in a training, which evaluates many times
        getattr(guard, f'before_{mode}_epoch')(RUNNER)
        for i, sample in enumerate(samples):
            getattr(guard, f'after_{mode}_iter')(RUNNER, i, {}, [sample])
        getattr(guard, f'after_{mode}_epoch')(RUNNER, {})


@pytest.mark.parametrize('mode', ['val', 'test'])
@pytest.mark.parametrize('make', [classified, detected, segmented])
def test_some_images(lines, make, mode):
    run(mode, make(0.25), DetDataSample(), make(-math.inf))
    assert not lines
    run(mode, make(0.25), make(math.nan), make(math.inf))
    assert lines == 2 * [
        "the scores of 2 of 3 images are NaN or infinite, such as 'a.png': the metrics mean nothing"
    ]


def test_all_images(lines):
    run('val', classified(math.nan))
    with pytest.raises(ValueError, match='the scores of all 1 images are NaN or infinite'):
        run('test', classified(math.nan))


def test_an_overflow_of_finite_weights(at_home, tmp_path, tool, capsys):
    checkpoint = torch.load('cls.pth', weights_only=True)
    for name, value in checkpoint['state_dict'].items():
        if 'head' in name and value.is_floating_point():
            value.mul_(1e30)
    torch.save(checkpoint, tmp_path / 'huge.pth')
    arguments = ['cls.py', str(tmp_path / 'huge.pth'), '--work-dir', str(tmp_path / 'w')]
    with pytest.raises(SystemExit) as stop:
        tool('test')(arguments)
    assert stop.value.code == 2
    assert 'error: the scores of all 2 images are NaN or infinite' in capsys.readouterr().err
    assert not (tmp_path / 'w/metrics.json').exists()
