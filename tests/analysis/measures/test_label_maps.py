"""Figures of label maps, against hand counts and mmseg's metric."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmoverlock.analysis.measures.label_maps import (
    class_scores,
    mean_scores,
    picture_score,
    pixel_confusion,
)

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
FOUND = np.array([[0, 1, 1, 1], [0, 0, 3, 2]], np.uint8)


def test_confusion_and_scores_counted_by_hand():
    confusion = pixel_confusion(TRUTH, FOUND, 4)
    assert confusion.tolist() == [[3, 1, 0, 0], [0, 2, 0, 1], [0] * 4, [0] * 4]
    scores = class_scores(confusion)
    np.testing.assert_allclose(scores['IoU'], [3 / 4, 2 / 4, np.nan, 0])
    np.testing.assert_allclose(scores['Dice'], [6 / 7, 4 / 6, np.nan, 0])
    np.testing.assert_allclose(scores['accuracy'], [3 / 4, 2 / 3, np.nan, np.nan])
    np.testing.assert_allclose(scores['precision'], [1, 2 / 3, np.nan, 0])
    np.testing.assert_allclose(scores['share'], [4 / 7, 3 / 7, 0, 0])
    np.testing.assert_allclose(scores['predicted'], [3 / 7, 3 / 7, 0, 1 / 7])
    assert picture_score(confusion) == pytest.approx((3 / 4 + 2 / 4) / 2)  # of the true classes


def test_nothing_labelled_has_no_scores():
    confusion = pixel_confusion(np.full((2, 2), 255, np.uint8), FOUND[:, :2], 2)
    assert not confusion.any()
    assert np.isnan(list(mean_scores(confusion).values())).all()
    assert np.isnan(picture_score(confusion))


def test_means_equal_mmsegs_metric():
    rng = np.random.default_rng(0)
    metric = IoUMetric(iou_metrics=['mIoU', 'mDice'])
    metric.dataset_meta = dict(classes=list('abcdef'))
    total = np.zeros((6, 6), np.int64)
    for size in ((30, 40), (25, 10), (17, 33)):
        truth = rng.integers(0, 5, size).astype(np.uint8)  # class 5 is in neither
        found = np.where(rng.random(size) < 0.7, truth, rng.integers(0, 5, size)).astype(np.uint8)
        truth[rng.random(size) < 0.1] = 255
        total += pixel_confusion(truth, found, 6)
        maps = (torch.from_numpy(one)[None].long() for one in (found, truth))
        sample = {
            key: dict(data=one)
            for key, one in zip(('pred_sem_seg', 'gt_sem_seg'), maps, strict=True)
        }
        metric.process({}, [sample])
    theirs = metric.compute_metrics(metric.results)
    assert set(theirs) == {'aAcc', 'mIoU', 'mDice', 'mAcc'}
    for name, value in mean_scores(total).items():
        assert 100 * value == pytest.approx(theirs[name], abs=0.00501)  # they round
