"""Which classes are taken for which: confusion matrices, and the worst pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Pair(NamedTuple):
    """What is of one class and was taken for another."""

    true: int
    predicted: int
    count: int
    share: float  # of the true class


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, number: int) -> np.ndarray:
    """Counts (C, C) int64; rows are true classes.

    Args:
        labels: True classes, (N,).
        predicted: Likewise.
        number: Of classes, C.
    """
    cells = labels.astype(np.int64) * number + predicted
    return np.bincount(cells, minlength=number**2).reshape(number, number)


def worst_pairs(
    matrix: np.ndarray, number: int, by_share: bool = False, background: bool = False
) -> list[Pair]:
    """The pairs that are confused most, by count, and of equal counts by share.

    Args:
        matrix: Counts, (C, C); rows are true classes.
        number: Of pairs, at most.
        by_share: Order them by share instead, and of equal shares by count.
        background: Whether the last class is none: then no pair has it.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    if background:
        wrong[-1] = wrong[:, -1] = 0
    true, predicted = np.nonzero(wrong)
    counts = wrong[true, predicted]
    shares = counts / matrix.sum(1)[true]
    keys = (-counts, -shares) if by_share else (-shares, -counts)
    order = np.lexsort(keys)[:number]
    columns = (column[order].tolist() for column in (true, predicted, counts, shares))
    return [Pair(*values) for values in zip(*columns, strict=True)]


def classes_of(pairs: Sequence[Pair], number: int) -> list[int]:
    """The classes of the worst pairs, up to `number`, so that those of a pair are neighbours."""
    chosen: list[int] = []
    for pair in pairs:
        new = [label for label in (pair.true, pair.predicted) if label not in chosen]
        if len(chosen) + len(new) > number:
            break
        partner = next((one for one in (pair.true, pair.predicted) if one in chosen), None)
        place = len(chosen) if partner is None else chosen.index(partner) + 1
        chosen[place:place] = new
    return chosen
