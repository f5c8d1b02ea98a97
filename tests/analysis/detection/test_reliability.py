"""D-ECE and MCE by hand, and against torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from mmoverlock.analysis.detection.reliability import draw_reliability, reliability


def test_by_hand():
    # Of four detections with 0.9 three are right: a difference of 0.15. Of two with 0.3 none is.
    one = reliability(np.array([0.9] * 4 + [0.3] * 2), np.array([1, 1, 1, 0, 0, 0], bool))
    assert one.counts.sum() == 6 and np.count_nonzero(one.counts) == 2
    assert one.expected_error == pytest.approx((4 * 0.15 + 2 * 0.3) / 6)
    assert one.largest_error == pytest.approx(0.3)


def test_as_torchmetrics():
    rng = np.random.default_rng(0)
    scores = rng.random(1000)
    right = rng.random(1000) < scores**2
    one = reliability(scores, right, bins=10)
    arguments = torch.from_numpy(scores), torch.from_numpy(right).int(), 10
    assert one.expected_error == pytest.approx(binary_calibration_error(*arguments, 'l1').item())
    assert one.largest_error == pytest.approx(binary_calibration_error(*arguments, 'max').item())


def test_calibrated_scores_have_a_small_error():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    right = rng.random(200_000) < scores
    assert reliability(scores, right).expected_error < 0.005  # by chance about 0.003
    assert reliability(scores, rng.random(200_000) < 0.5 * scores).expected_error == pytest.approx(
        0.25, abs=0.005
    )


def test_ends_and_nothing(tmp_path):
    assert reliability(np.array([0.0, 1.0]), np.array([False, True])).expected_error == 0
    empty = reliability(np.zeros(0), np.zeros(0, bool))
    assert np.isnan([empty.expected_error, empty.largest_error]).all()
    draw_reliability(empty, tmp_path / 'a.png')
