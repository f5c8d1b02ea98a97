"""Entropy of pixels, and samples of them."""

import numpy as np
import pytest

from mmoverlock.analysis.measures import pixels
from mmoverlock.analysis.measures.pixels import PixelSample, entropy


def test_entropy():
    probabilities = np.array([[[0.25, 1.0]], [[0.25, 0.0]], [[0.5, 0.0]]], np.float32)
    assert entropy(probabilities) == pytest.approx(np.array([[1.5 * np.log(2), 0]]), abs=1e-6)


def test_a_sample_is_bounded_valid_and_repeatable(monkeypatch):
    monkeypatch.setattr(pixels, 'PIXELS', 30)
    probabilities = np.random.default_rng(0).random((2, 8, 9)).astype(np.float32)
    truth = np.arange(72, dtype=np.uint8).reshape(8, 9)
    valid = truth % 2 == 0
    drawn = []
    for _ in range(2):
        sample = PixelSample(3, 2)
        assert sample.quota == 10
        places = sample.add(probabilities, truth, valid)
        sample.add(probabilities, truth, truth < 4)
        sample.add(probabilities, truth, truth < 0)
        drawn.append(places.tolist())
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 10
    assert all(place % 2 == 0 for place in drawn[0])  # truth is the place
    values, labels = sample.of()
    assert labels.tolist() == drawn[0] + [0, 1, 2, 3]
    assert np.array_equal(values, probabilities.reshape(2, -1)[:, labels].T)
    assert sample.of(slice(1, None, 2))[1].tolist() == [0, 1, 2, 3]
    assert PixelSample(10**9, 2).quota == 1


def test_many_classes_make_the_sample_smaller():
    assert PixelSample(1, 11).quota == pixels.PIXELS
    assert PixelSample(10, 1000).quota == pixels.VALUES // 1000 // 10
