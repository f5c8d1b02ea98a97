"""What a detector of mmdet delivers."""

import logging

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmoverlock.analysis.detection.sample import found_of, samples

NAN = float('nan')


class Subject:
    """A data set without annotations."""

    def __init__(self, *predictions):
        self.dataset = [None] * len(predictions)
        self._predictions = predictions

    def predictions(self):
        yield from enumerate(self._predictions)


def instances(scores, boxes=None, **more):
    number = len(scores)
    boxes = torch.tensor([[1.0, 2, 3, 4]] * number).reshape(-1, 4) if boxes is None else boxes
    labels = torch.arange(number)
    return InstanceData(bboxes=boxes, labels=labels, scores=torch.tensor(scores), **more)


@pytest.fixture
def unlabelled(monkeypatch):
    monkeypatch.setattr(
        'mmoverlock.analysis.detection.sample.TrueObjects',
        lambda dataset: type('Nothing', (), dict(of=lambda self, index: None))(),
    )


def seen(*found):
    meta = dict(img_id=3, ori_shape=(10, 20))
    return [*samples(Subject(*(DetDataSample(pred_instances=one, metainfo=meta) for one in found)))]


def test_masks_are_encoded():
    masks = torch.zeros(2, 4, 5, dtype=torch.bool)
    masks[1, 1:3, 2] = True
    found, _ = found_of(instances([0.9, 0.8], masks=masks))
    assert [coco_mask.area(mask) for mask in found.masks] == [0, 2]
    assert np.array_equal(coco_mask.decode(found.masks[1]), masks[1].numpy())
    assert found_of(instances([0.9, 0.8], masks=found.masks))[0].masks == found.masks


def test_boxes_of_masks_alone():
    masks = torch.zeros(1, 4, 5, dtype=torch.bool)
    masks[0, 1:3, 2] = True
    found, _ = found_of(instances([0.9], boxes=torch.zeros(1, 4), masks=masks))
    assert found.boxes.tolist() == [[2, 1, 3, 3]]


def test_masks_may_have_scores_of_their_own():
    found, _ = found_of(instances([0.5], mask_scores=torch.tensor([0.25])))
    assert found.scores_of('bbox').tolist() == [0.5] and found.scores_of('segm').tolist() == [0.25]


def test_scores_that_are_no_numbers(unlabelled, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        first, second = seen(instances([0.9, NAN]), instances([0.5]))
    finally:
        logger.removeHandler(caplog.handler)
    assert first.found.labels.tolist() == [0] and len(second.found) == 1
    assert first.size == (10, 20) and first.truth is None and first.kinds() == []
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert '1 of 3 detections have NaN' in record.getMessage()


def test_nothing_but_nan(unlabelled):
    with pytest.raises(ValueError, match='no score is a finite number'):
        seen(instances([NAN, NAN]))
    assert len(seen(instances([]))[0].found) == 0


def test_models_without_boxes(unlabelled):
    with pytest.raises(ValueError, match='predicts no objects with boxes'):
        seen(InstanceData(scores=torch.zeros(1)))
