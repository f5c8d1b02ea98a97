"""Calibration in bins, against torchmetrics, scikit-learn and known temperatures."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from mmoverlock.analysis.measures.calibration import CalibrationBins, fit_temperature, tempered


def _logits(number, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(classes, number)).astype(np.float32) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    truth = (probabilities.cumsum(0) < rng.random(number)).sum(0).clip(0, classes - 1)
    return logits, probabilities, truth.astype(np.uint8)


def test_scores_in_parts_equal_those_of_the_libraries():
    _, probabilities, truth = _logits(3000)
    probabilities = tempered(probabilities, 0.5)  # badly calibrated
    bins = CalibrationBins()
    labels = probabilities.argmax(0)
    for part in (slice(0, 1000), slice(1000, 1001), slice(1001, None)):
        bins.add(probabilities[:, part], labels[part], truth[part])
    scores = bins.scores()
    inputs = torch.from_numpy(probabilities.T), torch.from_numpy(truth.astype(int))
    for name, norm in (('ECE', 'l1'), ('MCE', 'max')):
        theirs = multiclass_calibration_error(*inputs, 4, n_bins=15, norm=norm)
        assert scores[name] == pytest.approx(theirs.item(), abs=1e-5)
    assert scores['NLL'] == pytest.approx(log_loss(truth, probabilities.T.astype(float)), rel=1e-5)
    one_hot = np.eye(4)[truth].T
    assert scores['Brier'] == pytest.approx(
        ((probabilities - one_hot) ** 2).sum(0).mean(), rel=1e-5
    )


def test_scores_counted_by_hand():
    probabilities = np.array([[1.0, 0.9, 0.9], [0.0, 0.1, 0.1]], np.float32)
    bins = CalibrationBins()
    bins.add(probabilities, np.array([0, 0, 0]), np.array([0, 0, 1]))
    # 1.0 is in the last bin, 0.9 in that before: confidence 0.9, accuracy 0.5.
    assert bins.counts[-2:].tolist() == [2, 1]
    scores = bins.scores()
    assert scores['ECE'] == pytest.approx(2 / 3 * 0.4)
    assert scores['MCE'] == pytest.approx(0.4)
    assert scores['NLL'] == pytest.approx(-(np.log(0.9) + np.log(0.1)) / 3, rel=1e-6)
    assert scores['Brier'] == pytest.approx((0 + 0.02 + 2 * 0.81) / 3, rel=1e-6)
    assert np.isnan(list(CalibrationBins().scores().values())).all()


@pytest.mark.parametrize('temperature', [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found_within_one_per_cent(temperature):
    logits, _, truth = _logits(200_000, seed=1)
    skewed = np.exp(logits * temperature)
    skewed /= skewed.sum(0)
    assert fit_temperature(skewed, truth) == pytest.approx(temperature, rel=0.01)


def test_tempering():
    logits, probabilities, _ = _logits(50)
    assert np.allclose(tempered(probabilities, 1), probabilities, atol=1e-6)
    halved = np.exp(logits / 2) / np.exp(logits / 2).sum(0)
    assert np.allclose(tempered(probabilities, 2), halved, atol=1e-6)
    certain = np.array([[1.0], [0.0]], np.float32)
    assert np.isfinite(tempered(certain, 0.1)).all()
