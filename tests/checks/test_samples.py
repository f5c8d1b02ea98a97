"""Samples of a training pipeline, as pictures with labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData

from mmoverlock.checks.samples import (
    SAMPLES,
    panel_of,
    to_picture,
    training_sheet,
)
from mmoverlock.utils.datasets import delivers_bgr, spread_indices
from mmoverlock.visualization.contact_sheet import IGNORED

INPUTS = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5)


def test_indices_are_spread_and_always_the_same():
    chosen = spread_indices(960, 24)
    assert chosen == spread_indices(960, 24)
    assert [index // 40 for index in chosen] == list(range(24))
    assert len({index % 40 for index in chosen}) > 5
    assert len({*spread_indices(25, 24)}) == 24
    assert spread_indices(3, 24) == [0, 1, 2]
    assert spread_indices(0, 24) == []


def test_pictures():
    assert np.array_equal(to_picture(INPUTS, bgr=False), INPUTS.permute(1, 2, 0))
    assert np.array_equal(to_picture(INPUTS, bgr=True), INPUTS.flip(0).permute(1, 2, 0))
    assert np.array_equal(to_picture(INPUTS.float(), bgr=False), INPUTS.permute(1, 2, 0))
    normalized = to_picture((INPUTS.float() - 30) / 7, bgr=False)
    assert normalized.min() == 0 and normalized.max() == 255
    grey = to_picture(INPUTS[:1], bgr=True)
    assert grey.shape == (4, 5, 3) and (grey == grey[..., :1]).all()


@pytest.mark.parametrize(
    ('preprocessor', 'loading', 'expected'),
    [
        (dict(bgr_to_rgb=True), dict(type='LoadImageFromFile'), True),
        (dict(to_rgb=True), dict(type='mmpretrain.LoadImageFromFile'), True),
        (dict(rgb_to_bgr=True), dict(type='LoadImageFromFile', channel_order='rgb'), False),
        (dict(to_rgb=False), dict(type='LoadImageFromFile'), True),
        (None, dict(type='LoadImageFromFile', channel_order='rgb'), False),
        (None, dict(type='PackInputs'), False),
    ],
)
def test_order_of_channels(preprocessor, loading, expected):
    dataset = dict(type='RepeatDataset', dataset=dict(type='A', pipeline=[loading]))
    loader = dict(dataset=dataset)
    for place in (
        dict(data_preprocessor=preprocessor),
        dict(model=dict(data_preprocessor=preprocessor)),
    ):
        assert (
            delivers_bgr(Config(dict(train_dataloader=loader, **place)), 'train_dataloader')
            is expected
        )


def test_panel_of_a_detector():
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    boxes = torch.tensor([[0.0, 0, 4, 4], [1, 1, 2, 2]])
    masks = BitmapMasks(np.eye(2, 20).reshape(2, 4, 5).astype(np.uint8), 4, 5)
    objects = InstanceData(bboxes=HorizontalBoxes(boxes), labels=torch.tensor([0, 1]), masks=masks)
    ignored = InstanceData(bboxes=boxes[:1], labels=torch.tensor([1]))
    sample = DetDataSample(
        gt_instances=objects, ignored_instances=ignored, metainfo=dict(img_path='a/b/c.jpg')
    )
    panel = panel_of(dict(inputs=INPUTS, data_samples=sample), ['cat', 'dog'], bgr=True)
    assert panel.title == 'c.jpg'
    assert [(one['label'], one['name']) for one in panel.objects] == [
        (1, 'dog'), (0, 'cat'), (IGNORED, 'ignored'),
    ]  # fmt: skip
    assert panel.objects[0]['box'] == [1, 1, 2, 2]
    assert panel.objects[0]['mask'].dtype == bool and panel.objects[0]['mask'][0, 1]


def test_panel_of_a_segmentor():
    from mmseg.structures import SegDataSample

    labels = torch.tensor([[[0, 1, 2, 255]]])
    sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
    panel = panel_of(dict(inputs=INPUTS, data_samples=sample), ['sky', 'sea'], bgr=True)
    assert panel.labels.tolist() == [[0, 1, IGNORED, IGNORED]]


def test_panel_of_a_classifier():
    from mmpretrain.structures import DataSample

    sample = DataSample().set_gt_label([1])
    panel = panel_of(dict(inputs=INPUTS, data_samples=sample), ['cat', 'dog'], bgr=True)
    assert panel.caption == 'dog'


def test_other_samples_are_refused():
    with pytest.raises(ValueError, match='does not deliver single images with labels'):
        panel_of(dict(inputs=[INPUTS, INPUTS]), [], bgr=True)


def test_sheet_of_a_config(at_home):
    from mmoverlock.utils.config import read_config

    cfg = read_config('det.py')
    sheet = training_sheet(cfg)
    assert sheet.drawn == 4 < SAMPLES
    assert np.array_equal(sheet.picture, training_sheet(cfg).picture)
    assert training_sheet(cfg, number=2).drawn == 2
