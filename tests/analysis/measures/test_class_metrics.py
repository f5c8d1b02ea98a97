"""Accuracy and figures of classes, counted by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from mmoverlock.analysis.measures.class_metrics import accuracies, class_rows, macro

from ..synthetic import draw, gaussian_logits


def test_accuracies_are_those_of_scikit_learn():
    logits = gaussian_logits(300, 9, spread=1)
    labels = draw(logits)
    found = accuracies(logits, labels)
    for k in (1, 5):
        assert found[f'top{k}'] == top_k_accuracy_score(labels, logits, k=k, labels=range(9))


def test_accuracies_of_few_classes():
    scores = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.2, 0.4, 0.4]])
    assert accuracies(scores, np.array([0, 1, 2])) == dict(top1=1 / 3)
    assert accuracies(np.ones((4, 1)), np.zeros(4, int)) == {'top1': 1.0}


def test_figures_of_classes():
    """Class 2 has no picture, class 3 is never predicted."""
    labels, predicted = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 1, 2])
    rows = class_rows(labels, predicted, 5)
    assert rows[0] == dict(precision=1, recall=2 / 3, f1=0.8, support=3, predicted=2)
    assert rows[1] == pytest.approx(dict(precision=2 / 3, recall=1, f1=0.8, support=2, predicted=3))
    assert math.isnan(rows[2]['recall']) and rows[2]['precision'] == rows[2]['f1'] == 0
    assert math.isnan(rows[3]['precision']) and rows[3]['recall'] == rows[3]['f1'] == 0
    assert math.isnan(rows[4]['f1'])
    assert macro(rows, 'recall') == pytest.approx((2 / 3 + 1 + 0) / 3)
    known = labels != 3
    assert macro(class_rows(labels[known], predicted[known], 5), 'recall') == pytest.approx(
        balanced_accuracy_score(labels[known], predicted[known])
    )


def test_pictures_are_counted_in_whole_numbers_where_none_is_right():
    rows = class_rows(np.array([0, 1]), np.array([1, 0]), 3)
    assert [str(row['support']) for row in rows] == ['1', '1', '0']
