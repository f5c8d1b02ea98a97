"""Types of errors of constructed predictions, counted by hand."""

import matplotlib
import pytest

from mmoverlock.analysis.detection.tide import find_errors

from .scenes import found, sample, truth

ONE, OTHER = (0, 0, 0, 10, 10), (1, 40, 0, 10, 10)


def six_types():
    """One error of each type, and one object that is found; an error in a picture each."""
    return [
        sample(found((*ONE, 0.9), masks=True), truth(ONE, masks=True), 0),
        sample(found((1, *ONE[1:], 0.8), masks=True), truth(ONE, masks=True), 1),  # classification
        sample(found((0, 5, 0, 10, 10, 0.8), masks=True), truth(ONE, masks=True), 2),  # IoU 1/3
        sample(  # its class is that of another object: IoU 1/3 with a wrong one
            found((*ONE, 0.9), (1, 5, 0, 10, 10, 0.8), masks=True), truth(ONE, masks=True), 3
        ),
        sample(found((*ONE, 0.9), (*ONE, 0.8), masks=True), truth(ONE, masks=True), 4),  # duplicate
        sample(found((*ONE, 0.9), (0, 80, 80, 10, 10, 0.8), masks=True), truth(ONE, masks=True), 5),
        sample(found((*ONE, 0.9), masks=True), truth(ONE, OTHER, masks=True), 6),  # missed
    ]


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_one_of_each(kind):
    errors = find_errors(six_types(), kind)
    assert set(errors.counts().values()) == {1}
    places = {case.type: (case.sample, case.object) for case in errors.cases}
    assert places == dict(
        classification=(1, 0), localisation=(2, 0), both=(3, 1), duplicate=(4, 1), background=(5, 1),
        missed=(6, 1),
    )  # fmt: skip


def test_gains():
    # Of three objects of a class the first is found, one is found as another class, and one has no
    # detection. Precision is 1 up to a recall of 1/3: at 34 of 101 recalls (0 to 0.33).
    samples = [
        sample(found((*ONE, 0.9)), truth(ONE), 0),
        sample(found((2, *ONE[1:], 0.8)), truth(ONE, (2, 50, 50, 10, 10)), 1),
        sample(found((2, 50, 50, 10, 10, 0.9)), truth(ONE, (2, 50, 50, 10, 10)), 2),
    ]
    errors = find_errors(samples, 'bbox')
    # The other class: one of two objects is found first, at 51 of 101 recalls.
    assert errors.ap == pytest.approx((34 + 51) / 101 / 2)
    # The class corrected, two of three are found: at 67 of 101 recalls.
    assert errors.gains['classification'] == pytest.approx((67 - 34) / 101 / 2)
    assert errors.counts()['missed'] == 2
    # Without the missed objects: of class 0 one of two found, of class 2 all, the false one after it.
    assert errors.gains['missed'] == pytest.approx((51 - 34 + 101 - 51) / 101 / 2)
    assert errors.gains['background'] == errors.false_gain == 0


def test_crowds_take_what_lies_in_them():
    crowd = truth(ONE, (0, 20, 20, 60, 60), crowds=[1])
    errors = find_errors([sample(found((*ONE, 0.9), (0, 40, 40, 9, 9, 0.8)), crowd)], 'bbox')
    assert errors.ap == pytest.approx(1) and errors.gains['background'] == 0


def test_nothing_to_compare():
    assert find_errors([sample(found(), truth(ONE))], 'bbox') is None
    assert find_errors([sample(found(), truth())], 'bbox') is None
    assert find_errors([sample(found((*ONE, 0.9)), truth())], 'bbox') is None


def test_more_detections_than_its_usual_limit():
    many = [(0, 50, 50, 10, 10, 0.5)] * 150 + [(*ONE, 0.1)]
    assert find_errors([sample(found(*many), truth(ONE))], 'bbox').ap > 0


def test_matplotlib_is_left_alone():
    before = dict(matplotlib.rcParams)
    find_errors([sample(found((*ONE, 0.9)), truth(ONE))], 'bbox')
    assert dict(matplotlib.rcParams) == before
