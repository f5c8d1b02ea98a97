"""Labels that are no classes, in images that no check has looked at, end a run by their name."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import nn

from mmoverlock.checks import label_images
from mmoverlock.engine import LabelGuard

TRAIN = """
_base_ = 'seg.py'
train_dataloader = _base_.test_dataloader
val_dataloader = _base_.test_dataloader
val_evaluator = _base_.test_evaluator
val_cfg = dict()
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""


def sample(*labels: int) -> SegDataSample:
    found = SegDataSample(metainfo=dict(img_path='a.jpg', seg_map_path='a.png'))
    found.gt_sem_seg = PixelData(data=torch.tensor([[labels]]))
    return found


def look(mode: str, *samples: SegDataSample, ignored=(255, 255), number: int = 3) -> None:
    """Let the hook look at a batch; `ignored` are the labels of the head and of the metric."""
    model = nn.Module()
    model.decode_head = nn.Module()
    model.decode_head.num_classes, model.decode_head.ignore_index = number, ignored[0]
    metrics = [SimpleNamespace(ignore_index=ignored[1]), SimpleNamespace(metric='mAP')]
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    runner = SimpleNamespace(model=model, val_loop=loop, test_loop=loop)
    batch = dict(inputs=[], data_samples=[*samples])
    getattr(LabelGuard(), f'before_{mode}_iter')(runner, 0, batch)


@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_labels_of_a_batch(mode):
    look(mode, sample(0, 1, 2, 255), SegDataSample())
    look(mode, sample(0, 1, 255), number=2)
    look(mode, sample(0, 1, 2), ignored=(0, 0))
    for wrong in (3, 254, -1):
        message = f"label {wrong} in 'a.png' is no class: 0 to 2 and 255, which is ignored"
        for batch in ([sample(0), sample(0, wrong, 255)], [[sample(wrong)]]):  # test time's lists
            with pytest.raises(ValueError, match=message):
                look(mode, *batch)


def test_what_is_not_looked_at():
    look('train', sample(9), ignored=(None, 255))  # a loss that ignores nothing
    runner = SimpleNamespace(model=nn.Linear(1, 1))
    LabelGuard().before_train_iter(runner, 0, dict(data_samples=[sample(9)]))
    LabelGuard().before_train_iter(runner, 0, None)


@pytest.mark.parametrize('part', ['train', 'val', 'test'])
def test_a_run_ends(home, at_home, tool, tmp_path, capsys, monkeypatch, part):
    monkeypatch.setattr(label_images, '_LOOKED', 1)  # the first of two
    shutil.copytree('data/digits_scenes', tmp_path / 'data')
    path = tmp_path / 'data/semantic/val/000001.png'
    labels = np.array(Image.open(path))
    labels[0, 0] = 77
    Image.fromarray(labels).save(path)
    text = TRAIN.replace('seg.py', str(home / 'seg.py'))
    (tmp_path / 'run.py').write_text(text)
    options = ['--work-dir', str(tmp_path / 'work'), '--cfg-options']
    options += [f'{part}_dataloader.dataset.data_root={tmp_path}/data']
    arguments = [str(home / 'seg.pth')] if part == 'test' else []
    with pytest.raises(SystemExit) as stop:
        tool('test' if part == 'test' else 'train')(
            [str(tmp_path / 'run.py'), *arguments, *options]
        )
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        f"error: label 77 in '{path}' is no class: 0 to 10 and 255, which is ignored, are allowed"
    )
