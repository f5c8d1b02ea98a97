"""MMEngine's log of a training: the scalars.json files of a run, joined."""

import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.logging import print_log

COUNTERS = ('step', 'iter', 'epoch')  # of a row; they are no measurements
Points = dict[int, float]  # training step: value
Row = dict[str, float]


@dataclass(frozen=True)
class RunLog:
    """What a run logged.

    Attributes:
        trained: By name, what was measured in training.
        evaluated: By name, what evaluations found, at the training steps they followed. A name that
            training uses as well, such as ``time``, becomes ``val/time``.
        epochs: Of each step that was logged in training, from 1; empty if the run counts
            iterations.
    """

    trained: dict[str, Points] = field(default_factory=dict)
    evaluated: dict[str, Points] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)


def find_logs(folder: str | Path) -> list[Path]:
    """The logs of a work_dir, of one of its time-stamped folders or of its vis_data, by age."""
    for pattern in ('*/vis_data/scalars.json', 'vis_data/scalars.json', 'scalars.json'):
        files = sorted(Path(folder).glob(pattern))
        if files:
            return files
    return []


def read_run_log(files: Iterable[Path]) -> RunLog:
    """Join the logs of a run, the oldest first.

    A resumed run goes on in a new file: where that goes back to an earlier step, the later values
    count, and what was logged from that step on is left out. So does a run that begins anew in the
    same work_dir; a message tells of it.
    """
    log = RunLog()
    last = 0  # MMEngine numbers evaluations by epoch, by iteration or not at all
    for file in files:
        for row in _read_rows(file):
            step = row.get('step')
            if _is_training(row):
                if log.trained and step <= last:
                    _forget(log, step, file)
                last = step
                if isinstance(row.get('epoch'), int):
                    log.epochs[step] = row['epoch']
                _add(log.trained, row, step)
            else:
                counts = isinstance(step, int) and not log.epochs and step > last
                named = {f'val/{key}' if key in log.trained else key: row[key] for key in row}
                _add(log.evaluated, named, step if counts else last)
    return log


def _is_training(row: Row) -> bool:
    return 'loss' in row and 'val_loss' not in row


def _add(curves: dict[str, Points], row: Row, step: int) -> None:
    for name, value in row.items():
        if name not in COUNTERS:
            curves.setdefault(name, {})[step] = value


def _forget(log: RunLog, step: int, file: Path) -> None:
    """Remove what was logged at `step` and later."""
    if step <= min(min(points) for points in log.trained.values()):
        print_log(
            f"'{file}': training begins anew at step {step}, what was logged before is left out",
            logger='current',
        )
        log.evaluated.clear()
    for curves in (log.trained, log.evaluated):
        for name, points in list(curves.items()):
            curves[name] = {at: value for at, value in points.items() if at < step}
            if not curves[name]:
                del curves[name]
    for at in [at for at in log.epochs if at >= step]:
        del log.epochs[at]


def _read_rows(file: Path) -> list[Row]:
    """The whole lines of a log, numbers alone; a warning tells of others, such as a cut last one.

    A null, which is how some write NaN, is NaN.
    """
    rows, damaged = [], []
    for number, line in enumerate(file.read_text('utf-8', 'replace').split('\n'), 1):
        try:
            found = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            found = None
        if (
            not isinstance(found, dict)
            or _is_training(found)
            and not isinstance(found.get('step'), int)
        ):
            damaged.append(str(number))
            continue
        row = {name: math.nan if value is None else value for name, value in found.items()}
        row = {name: value for name, value in row.items() if isinstance(value, (int, float))}
        rows.extend([row] if row else [])
    if damaged:
        print_log(
            f"'{file}': cut or damaged and left out: line {', '.join(damaged[:5])}"
            f'{f" and {len(damaged) - 5} more" if damaged[5:] else ""}',
            logger='current',
            level=logging.WARNING,
        )
    return rows
