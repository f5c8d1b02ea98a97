"""Calibration errors against formulas, scikit-learn, torchmetrics and hand counts."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from mmoverlock.analysis.measures.calibration import (
    ClassCalibration,
    ReliabilityBins,
    classwise_ece,
)
from mmoverlock.runtime.calibrators import softmax

from ..synthetic import calibration_errors, draw, gaussian_logits


def by_hand(scores, labels, bins=15):
    """ECE, MCE, classwise ECE, NLL and Brier, picture by picture."""

    def gaps(confidences, right):
        found = []
        for low in range(bins):
            inside = [
                i
                for i, c in enumerate(confidences)
                if low / bins <= c < (low + 1) / bins or (c == 1 and low == bins - 1)
            ]
            if inside:
                gap = abs(sum(confidences[i] - right[i] for i in inside)) / len(inside)
                found.append((len(inside) / len(confidences), gap))
        return found

    number, classes = scores.shape
    top = gaps(scores.max(1), scores.argmax(1) == labels)
    each = [gaps(scores[:, k], (labels == k).astype(int)) for k in range(classes)]
    return dict(
        accuracy=sum(scores[i].argmax() == labels[i] for i in range(number)) / number,
        ece=sum(share * gap for share, gap in top),
        mce=max(gap for _, gap in top),
        classwise_ece=sum(share * gap for one in each for share, gap in one) / classes,
        nll=-sum(np.log(scores[i, labels[i]]) for i in range(number)) / number,
        brier=sum(
            (scores[i, k] - (k == labels[i])) ** 2 for i in range(number) for k in range(classes)
        )
        / number,
    )


def test_errors_are_those_of_the_formulas():
    logits = gaussian_logits(400, 5)
    scores, labels = softmax(logits), draw(logits, 2.0)
    found = calibration_errors(scores, labels)
    assert found == pytest.approx(by_hand(scores, labels), rel=1e-9)
    assert found['nll'] == pytest.approx(log_loss(labels, scores), rel=1e-9)
    tensors = torch.from_numpy(scores), torch.from_numpy(labels)
    for key, norm in dict(ece='l1', mce='max').items():
        expected = multiclass_calibration_error(*tensors, 5, n_bins=15, norm=norm)
        assert found[key] == pytest.approx(float(expected), rel=1e-5)


def test_parts_add_up():
    logits = gaussian_logits(3000, 4)
    scores, labels = softmax(logits).astype(np.float32), draw(logits, 2.0)
    one = ClassCalibration()
    for part in (slice(0, 1000), slice(1000, 1001), slice(1001, None), slice(0, 0)):
        one.add(scores[part], scores[part].argmax(1), labels[part].astype(np.uint8))
    whole = calibration_errors(scores, labels)
    assert one.figures() == pytest.approx({key: whole[key] for key in one.figures()}, rel=1e-9)


def test_predictions_need_not_be_the_best_classes():
    """As those by a threshold: class 1 with 0.3 is right."""
    one = ClassCalibration()
    one.add(np.array([[0.7, 0.3]]), np.array([1]), np.array([1]))
    assert one.figures()['accuracy'] == 1 and one.figures()['ece'] == pytest.approx(0.7)


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn():
    scores = softmax(gaussian_logits(200, 2))
    labels = draw(np.log(scores))
    expected = 2 * brier_score_loss(labels, scores[:, 1])
    assert calibration_errors(scores, labels)['brier'] == pytest.approx(expected)


def test_a_case_counted_by_hand():
    """Three images: two in the bin from 0.8 with a mean of 0.85, one right; one sure and right."""
    scores = np.array([[0.84, 0.16], [0.86, 0.14], [0.0, 1.0]])
    one = ClassCalibration()
    one.add(scores, scores.argmax(1), np.array([0, 1, 1]))
    found, bins = one.figures(), one.bins
    assert found['accuracy'] == pytest.approx(2 / 3)
    assert found['ece'] == pytest.approx(2 / 3 * 0.35)
    assert found['mce'] == pytest.approx(0.35)
    assert found['nll'] == pytest.approx(-(np.log(0.84) + np.log(0.14)) / 3)
    assert found['brier'] == pytest.approx((2 * 0.16**2 + 2 * 0.86**2) / 3)
    assert bins.counts.tolist() == [0] * 12 + [2, 0, 1]
    assert bins.accuracies[12] == 0.5 and bins.accuracies[14] == 1
    assert bins.mean_scores[12] == pytest.approx(0.85) and bins.mean_scores[14] == 1
    assert np.isnan(bins.accuracies[0])


def test_nothing_has_no_errors():
    assert np.isnan([*ClassCalibration().figures().values()]).all()


def test_scores_that_are_right_or_not_as_torchmetrics():
    rng = np.random.default_rng(0)
    scores = rng.random(1000)
    right = rng.random(1000) < scores**2
    bins = ReliabilityBins()
    bins.add(scores, right)
    arguments = torch.from_numpy(scores), torch.from_numpy(right).int(), 15
    for key, norm in dict(ece='l1', mce='max').items():
        expected = binary_calibration_error(*arguments, norm).item()
        assert bins.figures()[key] == pytest.approx(expected)


def test_calibrated_scores_have_small_errors():
    logits = gaussian_logits(40000, 6)
    scores, labels = softmax(logits), draw(logits)
    found = calibration_errors(scores, labels)
    assert found['ece'] < 0.01 and found['classwise_ece'] < 0.01
    assert calibration_errors(scores, draw(logits, 3.0))['ece'] > 0.15


def test_scores_twice_as_high_as_accuracy():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    bins = ReliabilityBins()
    bins.add(scores, rng.random(200_000) < 0.5 * scores)
    assert bins.figures()['ece'] == pytest.approx(0.25, abs=0.005)


def test_the_classes_scores_have_errors_of_their_own():
    """Each class's score is 0.5; its share is 1 or 0, and then a half."""
    scores = np.full((4, 2), 0.5)
    assert classwise_ece(scores, np.zeros(4, int)) == pytest.approx(0.5)
    assert classwise_ece(scores, np.array([0, 0, 1, 1])) == 0
