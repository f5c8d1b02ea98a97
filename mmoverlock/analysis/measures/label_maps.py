"""How well maps of labels agree: confusion of pixels, and the figures of classes from it."""

import numpy as np

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
    pairs = truth[valid].astype(np.int64) * classes + prediction[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


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


def worst_pairs(
    confusion: np.ndarray, number: int, by_share: bool = False
) -> list[tuple[int, int, int, float]]:
    """The pairs of classes that are confused most often.

    Args:
        confusion: Counts by true (rows) and predicted class, (C, C).
        number: How many pairs at most.
        by_share: Order them by their share of the true class, not by their count.

    Returns:
        True class, predicted class, count, and its share of the true class.
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    totals = confusion.sum(1)
    weights = wrong / np.maximum(totals, 1)[:, None] if by_share else wrong
    order = np.argsort(-weights, axis=None, kind='stable')[:number]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [
        (int(row), int(column), int(wrong[row, column]), float(wrong[row, column] / totals[row]))
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]
