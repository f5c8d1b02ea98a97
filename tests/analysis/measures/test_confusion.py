"""Pairs of confused classes, counted by hand."""

import numpy as np

from mmoverlock.analysis.measures.confusion import (
    classes_of,
    confusion_matrix,
    worst_pairs,
)

MATRIX = np.array([[5, 3, 0], [1, 9, 1], [3, 0, 1]])


def test_counts():
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 0, 2])
    assert confusion_matrix(labels, predicted, 3).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]
    many = np.full(3, 200, np.uint8), np.full(3, 201, np.uint8)
    assert confusion_matrix(*many, 250)[200, 201] == 3
    assert confusion_matrix(np.zeros(4, int), np.zeros(4, int), 1).tolist() == [[4]]


def test_worst_pairs():
    """Of equal counts that of the smaller class comes first."""
    assert worst_pairs(MATRIX, 3) == [(2, 0, 3, 3 / 4), (0, 1, 3, 3 / 8), (1, 0, 1, 1 / 11)]
    assert len(worst_pairs(MATRIX, 99)) == 4
    assert worst_pairs(MATRIX, 2, by_share=True) == [(2, 0, 3, 3 / 4), (0, 1, 3, 3 / 8)]
    assert worst_pairs(MATRIX, 9, background=True) == [(0, 1, 3, 3 / 8), (1, 0, 1, 1 / 11)]
    assert worst_pairs(np.diag([1, 0, 2]), 9) == []
    assert MATRIX[0, 0] == 5  # left as it was


def test_confused_classes_are_neighbours():
    pairs = worst_pairs(MATRIX, 9)
    assert classes_of(pairs, 9) == [2, 0, 1]
    assert classes_of(pairs, 2) == [2, 0]
    assert classes_of([], 9) == []
