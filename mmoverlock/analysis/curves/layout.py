"""Curves as lines in panels: the horizontal axis, smoothing, percentages apart from fractions."""

import math
from collections.abc import Callable, Iterable, Sequence

from mmoverlock.visualization.panels import Line, Panel

from .runs import LOSS, METRIC, RATE, Curve, Point, Run

AXES = ('step', 'epoch', 'time')
PERCENT = ('top1', 'top5', 'mIoU', 'aAcc', 'mAcc')  # of 0 to 100, even if all are below 1
_UNITS = {'s': 1, 'min': 60, 'h': 3600}  # of time, in seconds


def lay_out(
    runs: Sequence[Run], x: str | None = None, smooth: float = 0.0, log_y: bool = False
) -> tuple[list[Panel], str]:
    """Panels of all curves, and the label of their horizontal axis.

    Args:
        runs: With the curves that are drawn, one at least.
        x: One of AXES; None is the first that all points have, or ``step``.
        smooth: Weight of the smoothing, see :func:`smoothed`. Learning rates and what evaluations
            found are left as they are.
        log_y: Draw losses and learning rates on logarithmic axes.

    Raises:
        ValueError: a run does not know its epochs, steps or time.
    """
    x = x or next(
        (axis for axis in AXES if all(_lacking(axis, run) is None for run in runs)), AXES[0]
    )
    for run in runs:
        key = _lacking(x, run)
        if key is not None:
            raise ValueError(f"x='{x}': run '{run.name}' does not tell the {x} of '{key}'")
    unit = time_unit([point.seconds for point in _points(runs)]) if x == 'time' else ''
    percent = percentages(runs)
    panels: dict[str, Panel] = {}
    for key in dict.fromkeys(key for run in runs for key in run.curves):
        for index, run in enumerate(runs):
            curve = run.curves.get(key)
            if curve:
                label = f'{METRIC} (%)' if key in percent else curve.kind
                panel = panels.setdefault(
                    label, Panel(label, log=log_y and curve.kind in (LOSS, RATE))
                )
                panel.lines.append(_line(index, key, curve, _coordinate(x, unit), smooth))
    order = [LOSS, RATE, METRIC, f'{METRIC} (%)']
    last = len(order)
    labels = sorted(panels, key=lambda label: order.index(label) if label in order else last)
    return [panels[label] for label in labels], f'training time ({unit})' if unit else x


def smoothed(values: Iterable[float], weight: float) -> list[float]:
    """Exponential moving averages, without the bias towards 0 at the beginning, as TensorBoard's.

    The n-th is the mean of the values so far, each weighing `weight` times its successor:
    a_n = weight a_{n-1} + (1 - weight) x_n from a_0 = 0, divided by 1 - weight^n. A value that is
    not finite stays as it is and does not count.
    """
    average, count, result = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            result.append(value)
            continue
        count += 1
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**count))
    return result


def percentages(runs: Sequence[Run]) -> set[str]:
    """The metrics that are percentages: their name tells, or a value above 1."""
    return {
        key
        for run in runs
        for key, curve in run.curves.items()
        if curve.kind == METRIC
        and (key.endswith(PERCENT) or any(1 < point.value <= 100 for point in curve.points))
    }


def known(point: Point, kind: str) -> float:
    """The value; NaN for the -1 of a COCO metric where there is nothing to find."""
    return math.nan if kind == METRIC and point.value == -1 else point.value


def time_unit(seconds: Sequence[float]) -> str:
    """The largest unit that the longest time has at least two of."""
    longest = max(seconds, default=0)
    return next((unit for unit in reversed(_UNITS) if longest >= 2 * _UNITS[unit]), 's')


def _points(runs: Sequence[Run]) -> list[Point]:
    return [point for run in runs for curve in run.curves.values() for point in curve.points]


def _lacking(x: str, run: Run) -> str | None:
    """A curve of a run with points that have no such coordinate."""
    at = _coordinate(x, 's')
    for key, curve in run.curves.items():
        if any(at(point) is None for point in curve.points):
            return key
    return None


def _coordinate(x: str, unit: str) -> Callable[[Point], float | None]:
    if x != 'time':
        return lambda point: getattr(point, x)
    return lambda point: None if point.seconds is None else point.seconds / _UNITS[unit]


def _line(
    index: int, key: str, curve: Curve, at: Callable[[Point], float | None], smooth: float
) -> Line:
    xs = [at(point) for point in curve.points]
    values = [known(point, curve.kind) for point in curve.points]
    if smooth and not curve.evaluated and curve.kind != RATE:
        return Line(index, key, xs, smoothed(values, smooth), raw=values)
    return Line(index, key, xs, values, marked=curve.evaluated)
