"""Labels that are likely wrong, by cleanlab."""

import warnings

import numpy as np

from ..extras import extra


def label_errors(scores: np.ndarray, labels: np.ndarray) -> list[int]:
    """Positions of the labels that are likely wrong, the likeliest first.

    cleanlab's confident learning (Northcutt et al. 2021); those whose own score is lowest come
    first. None if all labels are the same. In a class that has a single label none is found.

    Args:
        scores: Probabilities, (N, C), of a model that was not trained on these images.
        labels: Given classes, (N,).
    """
    if len(np.unique(labels)) < 2:
        return []
    cleanlab = extra('cleanlab.filter')
    with warnings.catch_warnings():  # of classes with few labels
        warnings.simplefilter('ignore', UserWarning)
        found = cleanlab.find_label_issues(
            labels, scores, return_indices_ranked_by='self_confidence', n_jobs=1
        )
    return [int(one) for one in found]
