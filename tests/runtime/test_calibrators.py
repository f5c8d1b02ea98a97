"""Calibrators, and their files, good and bad."""

import json

import numpy as np
import pytest

from mmoverlock.runtime.calibrators import (
    IsotonicRegression,
    PlattScaling,
    TemperatureScaling,
    read_calibrator,
    to_json,
)

CLASSES = ['cat', 'dog', '猫']
SCORES = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], np.float32)
EACH = [
    TemperatureScaling(2.0),
    PlattScaling([1.0, 2.0, 0.5], [0.0, 0.1, -1.0]),
    IsotonicRegression([[0.0, 1.0], [0.2], [0.1, 0.5, 0.9]], [[0.1, 0.8], [0.4], [0.0, 0.5, 1.0]]),
]


@pytest.mark.parametrize('calibrator', EACH, ids=lambda one: one.method)
def test_files_keep_calibrators(calibrator, tmp_path):
    (tmp_path / 'a.json').write_text(to_json(calibrator, CLASSES), encoding='utf-8')
    again = read_calibrator(tmp_path / 'a.json', CLASSES)
    assert again == calibrator
    assert np.allclose(again(SCORES).sum(1), 1) and (again(SCORES) == calibrator(SCORES)).all()


def test_formulas():
    """Counted by hand."""
    roots = np.sqrt([0.7, 0.2, 0.1])
    assert np.allclose(EACH[0](SCORES)[0], roots / roots.sum())
    odds = np.array([0.7 / 0.3, (0.2 / 0.8) ** 2 * np.exp(0.1), (0.1 / 0.9) ** 0.5 * np.exp(-1)])
    chances = odds / (1 + odds)
    assert np.allclose(EACH[1](SCORES)[0], chances / chances.sum())
    values = np.array([0.1 + 0.7 * 0.7, 0.4, 0.0])
    assert np.allclose(EACH[2](SCORES)[0], values / values.sum())
    identity = PlattScaling([1.0] * 3, [0.0] * 3)
    assert np.allclose(identity(SCORES), SCORES)


def test_a_picture_that_no_class_wants_has_equal_scores():
    zero = IsotonicRegression([[0.5]] * 3, [[0.0]] * 3)
    assert np.allclose(zero(SCORES), 1 / 3)


def test_the_best_class_stays_under_any_temperature():
    scores = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    for temperature in (0.05, 0.5, 20.0):
        after = TemperatureScaling(temperature)(scores)
        assert (after.argmax(1) == scores.argmax(1)).all() and np.isfinite(after).all()


GOOD = json.loads(to_json(EACH[1], CLASSES))


@pytest.mark.parametrize(
    'content',
    [
        '', '[]', 'null', '{"method": "platt"', b'\xff\xfe', '[' * 100000,
        dict(GOOD, method='magic'), dict(GOOD, method=['platt']), dict(GOOD, classes=None),
        dict(GOOD, slopes=[1.0, 2.0]), dict(GOOD, slopes=[1.0, 2.0, float('nan')]),
        dict(GOOD, slopes=['a', 'b', 'c']), dict(GOOD, intercepts=3), dict(GOOD, slopes=[10**400] * 3),
        dict(method='temperature', classes=CLASSES, temperature=0),
        dict(method='temperature', classes=CLASSES, temperature='2'),
        dict(method='temperature', classes=CLASSES, temperature=True),
        dict(method='temperature', classes=CLASSES),
        dict(method='isotonic', classes=CLASSES, scores=[[0.0]] * 3, values=[[2.0]] * 3),
        dict(method='isotonic', classes=CLASSES, scores=[[0.5, 0.1]] * 3, values=[[0.0, 1.0]] * 3),
        dict(method='isotonic', classes=CLASSES, scores=[[]] * 3, values=[[]] * 3),
        dict(method='isotonic', classes=CLASSES, scores=[[0.0]] * 2, values=[[0.0]] * 2),
    ],
)  # fmt: skip
def test_damaged_files(content, tmp_path):
    path = tmp_path / 'a.json'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(
        ValueError, match=r"^calibration: '.*a\.json' is damaged, or no calibrator$"
    ):
        read_calibrator(path, CLASSES)


def test_other_classes(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps(GOOD))
    for classes in (['dog', 'cat', '猫'], ['cat', 'dog']):
        with pytest.raises(
            ValueError, match=r"is for 3 classes, 'cat', 'dog', '猫'; the model has"
        ):
            read_calibrator(tmp_path / 'a.json', classes)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match='nothing.json. does not exist$'):
        read_calibrator(tmp_path / 'nothing.json', CLASSES)
