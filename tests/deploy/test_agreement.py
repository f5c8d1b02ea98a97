"""What counts as agreement, and what does not."""

import numpy as np

from mmoverlock.deploy.agreement import classification, detection, segmentation


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


def objects(*rows, number=4):
    """Rows (x1, y1, x2, y2, score, label) of one picture, padded to `number`."""
    table = np.zeros((1, number, 6), np.float32)
    table[..., 5] = -1
    table[0, : len(rows)] = np.reshape(rows, (-1, 6))
    masks = table[..., 4, None, None] * np.ones((2, 2), np.float32)
    boxes, labels = table[..., :4], table[..., 5].astype(np.int64)
    return dict(boxes=boxes, scores=table[..., 4], labels=labels, masks=masks)


CAT, DOG, MOUSE = (0, 0, 50, 50, 0.9, 0), (50, 50, 100, 100, 0.9, 1), (0, 50, 9, 60, 0.3, 2)


def test_objects_of_equal_scores_may_change_places():
    lines = detection(objects(CAT, DOG), objects(DOG, CAT), 1e-3)
    assert [line.name for line in lines] == ['boxes', 'scores', 'masks', 'objects']
    assert all(line.good for line in lines)
    assert (lines[-1].same, lines[-1].number) == (2, 2)


def test_an_object_more_or_less_or_of_another_kind_is_wrong():
    dog = (*DOG[:5], 2)
    for actual in (
        objects(CAT, MOUSE),
        objects(CAT, dog, MOUSE),
        objects(),
        objects(CAT, CAT[:4] + DOG[4:], DOG, MOUSE),
    ):
        lines = detection(objects(CAT, DOG, MOUSE), actual, 1e-3)
        assert not lines[-1].good
    assert not detection(objects(), objects(CAT), 1e-3)[-1].good
    assert detection(objects(), objects(), 1e-3)[-1].good


def test_the_weakest_object_may_fall_below_the_threshold():
    assert detection(objects(CAT, MOUSE), objects(CAT), 1e-3)[-1].good


def test_values_of_objects_are_compared():
    scores = (*CAT[:4], 0.8, 0)
    boxes, *_ = detection(objects(CAT), objects((0, 0, 50, 50.04, 0.9, 0)), 1e-3)
    assert boxes.good and boxes.difference > 0.03
    _, lower, masks, _ = detection(objects(CAT), objects(scores), 1e-3)
    assert not lower.good and not masks.good
    assert not detection(objects(CAT), objects(CAT, number=5), 1e-3)[0].good
