"""How well maps of labels agree: confusion of pixels, and the figures of classes from it."""

import numpy as np

from .confusion import confusion_matrix

IGNORED = 255  # the label of pixels without a class


def pixel_confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true (rows) and predicted class.

    Args:
        truth: Labels below `classes`, or 255 for pixels that do not count; uint8.
        prediction: Labels below `classes`, of the same shape.
        classes: How many there are, C.

    Returns:
        (C, C) int64.
    """
    valid = truth != IGNORED
    return confusion_matrix(truth[valid], prediction[valid], classes)


def class_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """The usual figures of every class.

    Args:
        confusion: Pixels by true (rows) and predicted class, (..., C, C).

    Returns:
        ``IoU``, ``Dice``, ``accuracy`` (the recall), ``precision``, ``share`` (of the true pixels)
        and ``predicted`` (share of the predicted ones), each (..., C) float64. NaN where nothing is
        to be divided: a class that is neither true nor predicted has no IoU.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(float)
    true, found = confusion.sum(-1), confusion.sum(-2)
    total = confusion.sum((-2, -1))[..., None]
    with np.errstate(invalid='ignore', divide='ignore'):
        return dict(
            IoU=right / (true + found - right),
            Dice=2 * right / (true + found),
            accuracy=right / true,
            precision=right / found,
            share=true / total,
            predicted=found / total,
        )


def mean(values: np.ndarray) -> float:
    """The mean of those that are no NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float('nan')


def mean_scores(confusion: np.ndarray) -> dict[str, float]:
    """``mIoU``, ``mDice``, ``mAcc`` and ``aAcc`` (the share of pixels that are right), 0 to 1.

    As mmseg's IoUMetric has them in per cent; classes without a value do not count.
    """
    scores = class_scores(confusion)
    total = confusion.sum()
    return dict(
        mIoU=mean(scores['IoU']),
        mDice=mean(scores['Dice']),
        mAcc=mean(scores['accuracy']),
        aAcc=float(np.trace(confusion) / total) if total else float('nan'),
    )


def picture_score(confusion: np.ndarray) -> float:
    """One picture's mean IoU over the classes of its truth; NaN if it has none."""
    return mean(class_scores(confusion)['IoU'][confusion.sum(1) > 0])
