"""The figures of a classifier and of each of its classes, from scores and labels."""

from typing import Any

import numpy as np

from ..extras import extra


def accuracies(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Shares of pictures whose class is among the best: ``top1``, and ``top5`` of over 5 classes.

    Args:
        scores: (N, C).
        labels: True classes, (N,).
    """
    number = scores.shape[1]
    found = dict(top1=float((scores.argmax(1) == labels).mean()))
    if number > 5:
        top_k = extra('sklearn.metrics').top_k_accuracy_score
        found['top5'] = float(top_k(labels, scores, k=5, labels=range(number)))
    return found


def class_rows(labels: np.ndarray, predicted: np.ndarray, number: int) -> list[dict[str, Any]]:
    """Of each class ``precision``, ``recall``, ``f1``, ``support`` and ``predicted``.

    The last two count the pictures of the class and those taken for it. Recall is NaN where there
    are none of the former, precision where there are none of the latter, F1 where both are 0.

    Args:
        labels: True classes, (N,).
        predicted: Likewise.
        number: Of classes.
    """
    metrics = extra('sklearn.metrics')
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(number), zero_division=np.nan
    )
    counts = np.bincount(predicted, minlength=number)
    support = support.astype(int)  # scikit-learn's is float where no prediction is right
    columns = dict(precision=precision, recall=recall, f1=f1, support=support, predicted=counts)
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]


def macro(rows: list[dict[str, Any]], key: str) -> float:
    """Mean of a figure over the classes that have pictures."""
    return float(np.mean([row[key] for row in rows if row['support']]))
