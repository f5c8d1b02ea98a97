"""Steps, epochs and training time of a run, from each other."""

import math
from bisect import bisect_right
from itertools import pairwise
from operator import itemgetter
from statistics import median

from mmoverlock.utils.run_log import RunLog


class Clock:
    """Where the steps of a run stand in its epochs and in its time."""

    def __init__(self, log: RunLog) -> None:
        self._epochs = sorted(log.epochs.items())
        self._per_epoch = steps_per_epoch(log.epochs)
        self._times = list(elapsed(log.trained.get('time', {})).items())
        self._ends = {epoch: step for step, epoch in self._epochs}

    def epoch(self, step: int, whole: bool) -> float | None:
        """Epochs until a step; `whole` ones for what was found when an epoch had ended."""
        if not self._epochs:
            return None
        current = _until(self._epochs, step, 0)
        if whole:
            return float(current)
        return min(max(step / self._per_epoch, current - 1.0), float(current))

    def seconds(self, step: int) -> float | None:
        """Seconds of training until a step, without validation."""
        return _until(self._times, step, 0.0) if self._times else None

    def end(self, epoch: int) -> int | None:
        """The last step that was logged in an epoch."""
        return self._ends.get(epoch)


def _until(values: list[tuple[int, float]], step: int, before: float) -> float:
    """The last value at a step or before it."""
    index = bisect_right(values, step, key=itemgetter(0))
    return values[index - 1][1] if index else before


def steps_per_epoch(epochs: dict[int, int]) -> float | None:
    """Steps per epoch, from the epochs of the steps that were logged.

    MMEngine logs at the same iterations of each epoch: the distances of the first ones count. Of a
    single epoch it is the last step, which may be too few by less than the log's interval.
    """
    first: dict[int, int] = {}
    for step, epoch in sorted(epochs.items()):
        first.setdefault(epoch, step)
    gaps = [(b - a) / (later - epoch) for (epoch, a), (later, b) in pairwise(first.items())]
    if gaps:
        return median(gaps)
    return max(epochs) / max(next(iter(first)), 1) if epochs else None


def elapsed(times: dict[int, float]) -> dict[int, float]:
    """Seconds until each step, from the seconds per iteration that were logged at the steps.

    A value stands for the steps since the one before. What is not finite is left out.
    """
    known = [(step, seconds) for step, seconds in sorted(times.items()) if math.isfinite(seconds)]
    total, last, result = 0.0, 0, {}
    for step, seconds in known:
        total += (step - last) * seconds
        last = step
        result[step] = total
    return result
