"""Pairs of confused classes, counted by hand."""

import numpy as np
from PIL import Image

from mmoverlock.analysis.measures.confusion import (
    classes_of,
    confusion_matrix,
    draw_confusion,
    worst_pairs,
)

MATRIX = np.array([[5, 3, 0], [1, 9, 1], [3, 0, 1]])


def test_counts():
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 0, 2])
    assert confusion_matrix(labels, predicted, 3).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]
    assert confusion_matrix(np.zeros(4, int), np.zeros(4, int), 1).tolist() == [[4]]


def test_worst_pairs():
    """Of equal counts that of the smaller class comes first."""
    assert worst_pairs(MATRIX, 3) == [(2, 0, 3, 3 / 4), (0, 1, 3, 3 / 8), (1, 0, 1, 1 / 11)]
    assert len(worst_pairs(MATRIX, 99)) == 4
    assert worst_pairs(np.diag([1, 0, 2]), 9) == []
    assert MATRIX[0, 0] == 5  # left as it was


def test_confused_classes_are_neighbours():
    pairs = worst_pairs(MATRIX, 9)
    assert classes_of(pairs, 9) == [2, 0, 1]
    assert classes_of(pairs, 2) == [2, 0]
    assert classes_of([], 9) == []


def test_draws_few_and_many_classes(tmp_path):
    draw_confusion(MATRIX, 'abc', tmp_path / 'few.png')
    many = np.diag(np.full(200, 40))
    many[7, 9] = 5
    text = draw_confusion(many, [f'class {i}' for i in range(200)], tmp_path / 'many.png')
    assert 'Of 200 classes the 2 ' in text
    draw_confusion(np.diag(np.ones(200, int)), [str(i) for i in range(200)], tmp_path / 'right.png')
    sizes = {name: Image.open(tmp_path / f'{name}.png').size for name in ('few', 'many', 'right')}
    assert all(300 < side < 2000 for size in sizes.values() for side in size)
