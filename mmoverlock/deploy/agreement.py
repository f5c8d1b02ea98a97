"""How far the results of an exported file may be from PyTorch's, and how far they are.

A tolerance holds for probabilities as it is, for logits relative to the largest one. Where a class
is chosen, another choice is an error only if the chosen one leads by more than the tolerance
explains: twice of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-3
RESIZE_TOLERANCE = 1e-2  # a pixel of the resized picture may be rounded the other way
HALF_TOLERANCE = 5e-2  # half precision has three decimals, and a network hundreds of layers

Outputs = Mapping[str, np.ndarray]


@dataclass
class Line:
    """What one comparison, or several of one kind, found.

    Args:
        name: Of an output, or of what is counted.
        difference: The largest one; None if it is a count.
        allowed: Of the difference.
        same: How many agree,
        number: of how many.
        wrong: How many differ by more than the tolerance explains.
    """

    name: str
    difference: float | None = None
    allowed: float = 0.0
    same: int = 0
    number: int = 0
    wrong: int = 0

    @property
    def good(self) -> bool:
        return self.wrong == 0 and (self.difference is None or self.difference <= self.allowed)

    def joined(self, other: 'Line') -> 'Line':
        """Both in one; of two differences that which is larger for what is allowed."""
        if self.difference is None:
            counts = (
                getattr(self, key) + getattr(other, key) for key in ('same', 'number', 'wrong')
            )
            return Line(self.name, None, 0.0, *counts)
        return max(self, other, key=lambda one: one.difference / one.allowed)

    def __str__(self) -> str:
        if self.difference is None:
            wrong = f', {self.wrong} of the others clearly differ' if self.wrong else ''
            return f'{self.name}: {self.same} of {self.number} agree{wrong}'
        return f'{self.name}: largest difference {self.difference:.2g}, allowed {self.allowed:.2g}'


def difference(name: str, expected: np.ndarray, actual: np.ndarray, allowed: float) -> Line:
    """The largest difference of two arrays; infinite if their shapes are not the same."""
    if expected.shape != actual.shape:
        return Line(name, float('inf'), allowed)
    apart = np.abs(expected.astype(np.float64) - actual)
    apart[np.isnan(apart)] = np.inf
    return Line(name, float(apart.max(initial=0)), allowed)


def choices(name: str, chosen: np.ndarray, values: np.ndarray, allowed: float) -> Line:
    """Compare classes that were chosen with the best ones.

    Args:
        name: What they are called.
        chosen: (B, ...).
        values: (B, classes, ...), as expected.
        allowed: Difference of these values.
    """
    if chosen.shape != values.argmax(1).shape:
        return Line(name, None, number=chosen.size, wrong=chosen.size)
    best = values.max(1)
    there = np.clip(chosen, 0, values.shape[1] - 1)[:, None]
    lead = best - np.take_along_axis(values, there, 1)[:, 0]
    same = chosen == values.argmax(1)
    wrong = ~same & ((lead > 2 * allowed) | (chosen != there[:, 0]))
    return Line(name, None, 0.0, int(same.sum()), same.size, int(wrong.sum()))


def classification(expected: Outputs, actual: Outputs, tolerance: float) -> list[Line]:
    scores = actual['scores']
    return [
        difference('scores', expected['scores'], scores, tolerance),
        choices('top-1', scores.argmax(1), expected['scores'], tolerance),
    ]


def segmentation(expected: Outputs, actual: Outputs, tolerance: float) -> list[Line]:
    logits = expected['logits']
    allowed = tolerance * max(1.0, float(np.abs(logits).max()))
    return [
        difference('logits', logits, actual['logits'], allowed),
        choices('labels', actual['labels'], logits, allowed),
    ]


def detection(expected: Outputs, actual: Outputs, tolerance: float) -> list[Line]:
    """Compare objects with the nearest ones of the same label, whatever their order.

    Boxes may be apart by `tolerance` of the largest coordinate. An object without a counterpart is
    an error unless its score is so near to the weakest one of the picture that rounding decides
    whether there is room for it, or whether it reaches the threshold.
    """
    names = [name for name in expected if name != 'labels']
    if any(expected[name].shape != actual[name].shape for name in names):
        return [Line(name, float('inf'), tolerance) for name in names]
    allowed = {name: tolerance for name in names}
    allowed['boxes'] = tolerance * max(1.0, float(expected['boxes'].max(initial=0)))
    lines = [Line(name, 0.0, allowed[name]) for name in names]
    objects = Line('objects', None)
    for picture in range(len(expected['scores'])):
        ours, theirs = (
            {name: values[picture][one['labels'][picture] >= 0] for name, values in one.items()}
            for one in (expected, actual)
        )
        apart = np.abs(ours['boxes'][:, None] - theirs['boxes']).max(-1, initial=0)
        apart[ours['labels'][:, None] != theirs['labels']] = np.inf
        near = apart <= allowed['boxes']
        pairs = near.any(1)
        nearest = apart[pairs].argmin(1) if pairs.any() else np.zeros(0, int)
        for i, name in enumerate(names):
            a, b = ours[name][pairs], theirs[name][nearest]
            lines[i] = lines[i].joined(difference(name, a, b, allowed[name]))
        alone = np.concatenate([ours['scores'][~pairs], theirs['scores'][~near.any(0)]])
        weakest = ours['scores'].min() if len(pairs) else 0
        clear = alone > weakest + 2 * tolerance
        number = len(pairs) + int((~near.any(0)).sum())
        found = Line('objects', None, 0.0, int(pairs.sum()), number, int(clear.sum()))
        objects = objects.joined(found)
    return [*lines, objects]


# Of each task: (expected, actual, tolerance) → lines, always of the same names.
COMPARE: dict[str, Callable[[Outputs, Outputs, float], list[Line]]] = {
    'classification': classification,
    'detection': detection,
    'segmentation': segmentation,
}
