"""What curves come to: last and best values, time per iteration, and the points as CSV."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from statistics import mean, pstdev

from .layout import known
from .runs import LOSS, METRIC, Curve, Point, Run

_LESS = r'(^|[/_.])(nll|ece|mce|brier|mae|mse|rmse|error|perplexity)($|[/_.])'
COLUMNS = ('run', 'key', 'step', 'epoch', 'time', 'value')


def last_and_best(curve: Curve, less: bool) -> tuple[Point, Point] | None:
    """The last and the best point with a value; None without any. Of equal ones the first is best.

    Args:
        curve: Of one run.
        less: Whether a smaller value is better.
    """
    points = [point for point in curve.points if math.isfinite(known(point, curve.kind))]
    if not points:
        return None
    return points[-1], (min if less else max)(points, key=lambda point: point.value)


def less_is_better(key: str, kind: str) -> bool:
    """Of losses and errors."""
    return kind == LOSS or re.search(_LESS, key) is not None


@dataclass(frozen=True)
class TrainTime:
    """Seconds per training iteration of a run.

    Attributes:
        average: The mean of the epochs' means.
        deviation: Standard deviation of these; None if the run counts iterations.
        slowest, fastest: Number and mean of an epoch, or None likewise.
    """

    average: float
    deviation: float | None
    slowest: tuple[int, float] | None
    fastest: tuple[int, float] | None


def train_time(run: Run) -> TrainTime | None:
    """The time per iteration of a run; None if it was not logged.

    As OpenMMLab's analyze_logs does, the first value of each epoch is left out, unless there is no
    other: it has the start of the data loaders in it.
    """
    curve = run.curves.get('time')
    points = [point for point in curve.points if math.isfinite(point.value)] if curve else []
    means = {}
    for epoch, group in groupby(points, lambda point: math.ceil(point.epoch or 0)):
        values = [point.value for point in group]
        means[epoch] = mean(values[1:] or values)
    if not means:
        return None
    average = mean(means.values())
    if 0 in means:
        return TrainTime(average, None, None, None)
    slowest, fastest = (choose(means.items(), key=itemgetter(1)) for choose in (max, min))
    return TrainTime(average, pstdev(means.values()), slowest, fastest)


def value_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """A table: of each loss and metric, in each run, the last and the best value, and when."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.curves):
        for run in runs:
            curve = run.curves.get(key)
            if curve and curve.kind in (LOSS, METRIC):
                found = last_and_best(curve, less_is_better(key, curve.kind))
                row = dict(key=key, run=run.name)
                for name, point in zip(('last', 'best'), found or (None, None), strict=True):
                    row |= {name: f'{point.value:.4f}' if point else '-', f'{name} at': _at(point)}
                rows.append(row)
    return rows


def time_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """A table: of each run, how far and how long it trained, and its time per iteration."""
    rows = []
    for run in runs:
        points = [point for curve in run.curves.values() for point in curve.points]
        last = max(points, key=lambda point: (point.epoch or 0, point.step or 0))
        time = train_time(run)
        spread = '' if time is None or time.deviation is None else f' ± {time.deviation:.4f}'
        rows.append(
            {
                'run': run.name,
                'trained until': _at(last),
                'in': _duration(max((p.seconds for p in points if p.seconds), default=None)),
                's/iteration': f'{time.average:.4f}{spread}' if time else '-',
                'slowest epoch': _epoch(time and time.slowest),
                'fastest epoch': _epoch(time and time.fastest),
            }
        )
    return rows


def to_csv(runs: Sequence[Run]) -> str:
    """All points, a row each, with COLUMNS; empty where a coordinate is not known.

    The values are those of the logs, not smoothed; time is in seconds of training.
    """
    text = io.StringIO(newline='')
    table = csv.writer(text, lineterminator='\n')
    table.writerow(COLUMNS)
    for run in runs:
        for key, curve in run.curves.items():
            for point in curve.points:
                epoch, seconds = (_short(value) for value in (point.epoch, point.seconds))
                table.writerow((run.name, key, point.step, epoch, seconds, point.value))
    return text.getvalue()


def _short(value: float | None) -> str | None:
    return None if value is None else f'{value:.6g}'


def _at(point: Point | None) -> str:
    if point is None:
        return '-'
    step = [] if point.step is None else [f'step {point.step}']
    epoch = [] if point.epoch is None else [f'epoch {round(point.epoch, 2):g}']
    return ', '.join(step + epoch)


def _epoch(found: tuple[int, float] | None) -> str:
    return f'{found[0]} ({found[1]:.4f})' if found else '-'


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return '-'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'
