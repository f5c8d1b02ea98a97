"""Runs by the logs they left: a folder's scalars.json files and epochs.csv, or one of these."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mmoverlock.engine.hooks.epoch_table import EVALUATED, TRAINED, read_epochs
from mmoverlock.utils.run_log import RunLog, find_logs, read_run_log
from mmoverlock.visualization.curves import VAL_LOSS

from .counters import Clock

LOSS, RATE, METRIC = 'loss', 'learning rate', 'metric'
TWINS = TRAINED | EVALUATED  # column of epochs.csv: what has the same values in the scalars
_KINDS = {
    r'loss|' + re.escape(VAL_LOSS): LOSS,
    r'(^|[._])lr$': RATE,
    r'^epoch_time$': 'seconds per epoch',
    r'(^|[/_])time$': 'seconds per iteration',
    r'^memory$': 'memory (MB)',
    r'acc': METRIC,
}


class Point(NamedTuple):
    """A value, and when it was found; None where that is not known.

    Attributes:
        step: Training iterations until then.
        epoch: Epochs until then.
        seconds: Of training until then, without validation.
        value: May be NaN or infinite.
    """

    step: int | None
    epoch: float | None
    seconds: float | None
    value: float


@dataclass(frozen=True)
class Curve:
    """The values of one quantity in a run.

    Attributes:
        kind: What is drawn in one panel: LOSS, RATE, METRIC, or another label of an axis.
        evaluated: Whether it is of whole epochs or evaluations; else of iterations.
        points: In the order of training.
    """

    kind: str
    evaluated: bool
    points: list[Point]


@dataclass(frozen=True)
class Run:
    """A training: its name, and its curves by the names of the log."""

    name: str
    curves: dict[str, Curve]


def read_runs(paths: Sequence[str | Path], labels: Sequence[str] | None = None) -> list[Run]:
    """Read runs.

    Args:
        paths: Each a work_dir, a time-stamped folder of one, a scalars.json or an epochs.csv.
        labels: Names of the runs; by default, what differs in the paths.

    Raises:
        ValueError: a path has no log, or is given twice; labels are too many, too few or equal.
    """
    places = [Path(os.path.abspath(path)) for path in paths]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise ValueError(f"'{paths[index]}' is given twice")
    if labels is None:
        labels = short_names(places)
    if len(labels) != len(paths):
        raise ValueError(f'labels: {len(labels)} for {len(paths)} runs')
    for index, label in enumerate(labels):
        if label in labels[:index]:
            raise ValueError(f"labels: '{label}' names two runs")
    return [Run(label, _read(Path(path))) for path, label in zip(paths, labels, strict=True)]


def short_names(places: Sequence[Path]) -> list[str]:
    """The parts of different absolute paths that differ; of a single one, the run's folder.

    ``/w/a/vis_data`` and ``/w/b/vis_data`` are a and b.
    """
    parts = [list(place.parts) for place in places]
    if len(parts) == 1:
        (only,) = parts
        while len(only) > 2 and only[-1] in ('vis_data', 'scalars.json', 'epochs.csv'):
            only.pop()
        return only[-1:]
    while len({tuple(part[-1:]) for part in parts}) == 1:
        for part in parts:
            part.pop()
    shared = len(os.path.commonprefix(parts))
    if any(len(part) == shared for part in parts):  # one path contains the others
        shared = max(shared - 1, 0)
    return ['/'.join(part[shared:]) for part in parts]


def _read(path: Path) -> dict[str, Curve]:
    """The curves of a run."""
    files, table = _find(path)
    log = read_run_log(files)
    rows = read_epochs(table) if table else []
    curves = _of_log(log) | _of_table(rows, log)
    if not curves:
        where = ' and '.join(f"'{file}'" for file in [*files, *([table] if table else [])])
        raise ValueError(f'{where}: nothing that can be read in it')
    return curves


def _find(path: Path) -> tuple[list[Path], Path | None]:
    """The scalars.json files of a path, and its epochs.csv."""
    if path.is_file():
        if path.suffix == '.json':
            return [path], None
        if path.suffix == '.csv':
            return [], path
        raise ValueError(f"'{path}' is no run: neither a folder nor a scalars.json or epochs.csv")
    if not path.is_dir():
        raise ValueError(f"'{path}' does not exist")
    files, table = find_logs(path), path / 'epochs.csv'
    if not files and not table.is_file():
        below = next(path.glob('*/*/vis_data/scalars.json'), None)
        hint = f', but there are runs below it: {path / "*"}' if below else ''
        raise ValueError(f"'{path}' holds no */vis_data/scalars.json and no epochs.csv{hint}")
    return files, table if table.is_file() else None


def kind_of(name: str, evaluated: bool) -> str:
    """What a name of the log measures."""
    for pattern, kind in _KINDS.items():
        if re.search(pattern, name):
            return kind
    return METRIC if evaluated else name


def _of_log(log: RunLog) -> dict[str, Curve]:
    clock = Clock(log)
    curves = {}
    for evaluated, named in ((False, log.trained), (True, log.evaluated)):
        for name, values in named.items():
            points = [
                Point(step, clock.epoch(step, evaluated), clock.seconds(step), value)
                for step, value in values.items()
            ]
            curves[name] = Curve(kind_of(name, evaluated), evaluated, points)
    return curves


def _of_table(rows: list[dict[str, float]], log: RunLog) -> dict[str, Curve]:
    """The columns of epochs.csv, placed at the last step that was logged in each epoch."""
    clock = Clock(log)
    columns: dict[str, list[Point]] = {}
    seconds: float | None = 0.0
    for row in rows:
        step = clock.end(row['epoch'])
        duration = row.get('epoch_time')
        seconds = None if seconds is None or duration is None else seconds + duration
        when = seconds if step is None else clock.seconds(step)
        for column, value in row.items():
            if column != 'epoch':
                columns.setdefault(column, []).append(Point(step, row['epoch'], when, value))
    return {name: Curve(kind_of(name, True), True, points) for name, points in columns.items()}
