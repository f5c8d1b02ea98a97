"""Fits of calibrators against scikit-learn and synthetic truth."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from mmoverlock.analysis.measures.calibrators import (
    fit_isotonic,
    fit_platt,
    fit_temperature,
    halves,
)
from mmoverlock.runtime.calibrators import softmax

from ..synthetic import calibration_errors, draw, gaussian_logits


@pytest.mark.parametrize('temperature', [0.4, 1.0, 2.5, 6.0])
def test_finds_the_temperature(temperature):
    """Within 1%; the scores are a model's, float32."""
    logits = temperature * gaussian_logits(60000, 8)
    scores, labels = softmax(logits).astype(np.float32), draw(logits, temperature)
    fitted = fit_temperature(scores, labels)
    assert fitted.temperature == pytest.approx(temperature, rel=0.01)
    assert calibration_errors(fitted(scores), labels)['ece'] < 0.01


def test_the_temperature_has_least_nll():
    logits = gaussian_logits(300, 5)
    scores, labels = softmax(logits), draw(logits, 1.7)
    fitted = fit_temperature(scores, labels)
    least = log_loss(labels, fitted(scores))
    for factor in (0.99, 1.01):
        assert log_loss(labels, softmax(logits / (factor * fitted.temperature))) > least


class Model(LogisticRegression):
    """A classifier whose decision function is its input."""

    def decision_function(self, X):
        return X[:, 0]

    def predict_proba(self, X):
        return np.stack([1 - X[:, 0], X[:, 0]], 1)


@pytest.fixture
def two_classes():
    """Log-odds, scores and labels, distorted."""
    odds = 2 * np.random.default_rng(0).standard_normal(400)
    labels = draw(np.stack([np.zeros(400), 0.5 * odds + 0.7], 1))
    return odds, softmax(np.stack([np.zeros(400), odds], 1)), labels


def test_platt_is_that_of_scikit_learn(two_classes):
    odds, scores, labels = two_classes
    model = FrozenEstimator(Model().fit(odds[:, None], labels))
    theirs = CalibratedClassifierCV(model, method='sigmoid', ensemble=False)
    expected = theirs.fit(odds[:, None], labels).predict_proba(odds[:, None])
    ours = fit_platt(scores, labels)
    assert np.allclose(ours(scores), expected, atol=1e-4)
    assert ours.slopes[1] == pytest.approx(0.5, abs=0.15)
    assert ours.intercepts[1] == pytest.approx(0.7, abs=0.25)


def test_isotonic_is_that_of_scikit_learn(two_classes):
    _, scores, labels = two_classes
    expected = IsotonicRegression(out_of_bounds='clip').fit(scores[:, 1], labels == 1)
    ours = fit_isotonic(scores, labels)
    unseen = np.linspace(0, 1, 501)
    assert np.allclose(
        ours(np.stack([1 - unseen, unseen], 1))[:, 1], expected.predict(unseen), atol=1e-9
    )


@pytest.mark.parametrize('fit', [fit_platt, fit_isotonic, fit_temperature])
def test_better_on_other_pictures(fit):
    logits = gaussian_logits(8000, 5)
    scores, labels = softmax(logits), draw(logits, 2.5)
    first, second = halves(labels)
    after = calibration_errors(fit(scores[first], labels[first])(scores[second]), labels[second])
    before = calibration_errors(scores[second], labels[second])
    for key in ('ece', 'classwise_ece', 'brier'):
        assert after[key] < 0.5 * before[key] if key != 'brier' else after[key] < before[key]


@pytest.mark.parametrize('fit', [fit_platt, fit_isotonic])
def test_a_class_without_a_picture_keeps_its_order(fit):
    """Class 2 has none: no other picture is taken for it than before, and scores are finite."""
    scores = softmax(gaussian_logits(300, 3))
    labels = draw(np.log(scores[:, :2]))
    after = fit(scores, labels)(scores)
    assert np.isfinite(after).all() and np.allclose(after.sum(1), 1)
    sure = scores[:, 2] > 0.9
    assert sure.any() and (after[sure].argmax(1) == 2).mean() > 0.5


def test_pictures_that_are_all_right_give_finite_calibrators():
    labels = np.arange(90) % 3
    scores = softmax(8.0 * np.eye(3)[labels]).astype(np.float32)
    for fit in (fit_temperature, fit_platt, fit_isotonic):
        after = fit(scores, labels)(scores)
        assert np.isfinite(after).all() and (after.argmax(1) == labels).all()


def test_halves_have_the_same_share_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [7, 4, 1, 30])
    first, second = halves(labels)
    assert sorted([*first, *second]) == list(range(42)) and len(first) == 21
    counts = [np.bincount(labels[half], minlength=4) for half in (first, second)]
    assert np.abs(counts[0] - counts[1]).max() == 1
    assert (halves(labels)[0] == first).all()
    assert (halves(labels, seed=1)[0] != first).any()
