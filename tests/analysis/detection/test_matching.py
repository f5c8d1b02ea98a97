"""Matches counted by hand."""

import numpy as np
import pytest

from mmoverlock.analysis.detection.confusion import count_pairs
from mmoverlock.analysis.detection.matching import ious, match

from .scenes import found, truth

ONE = (0, 0, 0, 10, 10)  # label, x, y, width, height


def test_iou_of_boxes_masks_and_crowds():
    one, half = found((*ONE, 0.9), masks=True), (0, 0, 0, 5, 10)
    for kind in ('bbox', 'segm'):
        assert ious(one, truth(half, masks=True), kind) == pytest.approx(0.5)
        # Of a crowd it is the share of the detection: all of it lies in one of twice its size.
        assert ious(one, truth((0, 0, 0, 20, 10), crowds=[0], masks=True), kind) == pytest.approx(1)


def test_the_highest_score_chooses_first():
    # The second detection fits better, but the first has the higher score.
    matches = match(found((0, 2, 0, 10, 10, 0.9), (*ONE, 0.8)), truth(ONE))
    assert matches.truth.tolist() == [0, -1]
    assert matches.false.tolist() == [False, True]


def test_it_takes_the_free_object_of_the_largest_iou():
    objects = truth(ONE, (0, 1, 0, 10, 10))
    matches = match(found((*ONE, 0.7), (*ONE, 0.8), (*ONE, 0.6)), objects)
    assert matches.truth.tolist() == [1, 0, -1]
    assert not matches.missed(objects).any()


def test_classes_and_scores():
    objects, others = truth(ONE), found((1, 0, 0, 10, 10, 0.9), (*ONE, 0.2))
    assert match(others, objects).truth.tolist() == [-1, 0]
    assert match(others, objects, any_class=True).truth.tolist() == [0, -1]
    low = match(others, objects, min_score=0.3)
    assert low.truth.tolist() == [-1, -1] and low.ignored.tolist() == [False, True]
    assert low.missed(objects).tolist() == [True]


def test_the_least_iou():
    # 6 of 10 columns in common: 60 / 140 of the area of both.
    objects, shifted = truth(ONE), found((0, 4, 0, 10, 10, 0.9))
    assert match(shifted, objects, min_iou=0.43).hits.tolist() == [False]
    assert match(shifted, objects, min_iou=0.42).hits.tolist() == [True]


def test_crowds_hold_any_number_and_are_never_missed():
    crowd = truth((0, 0, 0, 50, 50), ONE, crowds=[0])
    detections = found((*ONE, 0.9), (*ONE, 0.8), (0, 20, 20, 9, 9, 0.7), (1, 20, 20, 9, 9, 0.6))
    matches = match(detections, crowd)
    assert matches.truth.tolist() == [1, -1, -1, -1]
    assert matches.ignored.tolist() == [False, True, True, False]  # the last is of another class
    assert not matches.missed(crowd).any()


def test_nothing():
    assert match(found(), truth()).truth.shape == (0,)
    assert match(found((*ONE, 0.9)), truth()).false.tolist() == [True]
    assert match(found(), truth(ONE)).missed(truth(ONE)).tolist() == [True]


def test_confusion_counted_by_hand():
    true = truth(
        ONE,  # found as it is
        (1, 20, 0, 10, 10),  # found as 0
        (1, 40, 0, 10, 10),  # missed
        (2, 60, 0, 10, 10),  # found with too low a score
        (2, 0, 50, 50, 50),  # a crowd
        crowds=[4],
    )
    detections = found(
        (*ONE, 0.9),
        (0, 20, 0, 10, 10, 0.8),
        (2, 60, 0, 10, 10, 0.1),
        (1, 80, 0, 10, 10, 0.7),  # of nothing
        (0, 1, 0, 10, 10, 0.6),  # the first one again
        (2, 10, 60, 10, 10, 0.9),  # in the crowd
    )
    expected = [[1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1], [1, 1, 0, 0]]
    assert count_pairs(detections, true, 3).tolist() == expected
    assert count_pairs(found(), truth(), 3).tolist() == np.zeros((4, 4)).tolist()
