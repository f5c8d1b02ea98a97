"""What counts as agreement, and what does not."""

import numpy as np

from mmoverlock.deploy.agreement import classification, segmentation


def scores(*values):
    return dict(scores=np.array([values], np.float32))


def test_a_tie_may_fall_either_way():
    difference, best = classification(scores(0.5001, 0.4999), scores(0.4999, 0.5001), 1e-3)
    assert difference.good and best.good and (best.same, best.number) == (0, 1)


def test_another_class_is_wrong():
    difference, best = classification(scores(0.6, 0.4), scores(0.4, 0.6), 1e-3)
    assert not difference.good and not best.good and best.wrong == 1
    assert 'largest difference 0.2, allowed 0.001' in str(difference)


def test_nan_and_other_shapes_are_wrong():
    expected = scores(0.6, 0.4)
    for actual in (scores(np.nan, 0.4), scores(0.6, 0.4, 0.0)):
        assert not classification(expected, actual, 1e-3)[0].good


def test_labels_are_those_of_the_logits():
    logits = np.zeros((1, 3, 4, 5), np.float32)
    logits[:, 1] = 10
    expected = dict(labels=logits.argmax(1), logits=logits)
    assert all(line.good for line in segmentation(expected, expected, 1e-3))
    actual = dict(expected, labels=expected['labels'].copy())
    actual['labels'][0, 0, 0] = 2
    _, labels = segmentation(expected, actual, 1e-3)
    assert (labels.same, labels.number, labels.wrong) == (19, 20, 1)
    actual['labels'][0, 0, 0] = 7  # no class
    assert segmentation(expected, actual, 1e-3)[1].wrong == 1


def test_the_worst_of_several_is_kept():
    good = classification(scores(0.6, 0.4), scores(0.6, 0.4), 1e-3)
    bad = classification(scores(0.6, 0.4), scores(0.5, 0.5), 1e-3)
    for first, second in ((good, bad), (bad, good)):
        difference, best = (a.joined(b) for a, b in zip(first, second, strict=True))
        assert not difference.good and best.number == 2
