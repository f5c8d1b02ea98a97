"""Training curves from the scalars that MMEngine writes beside its log."""

import json
import logging
import math
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from mmengine.logging import print_log

from .fonts import drawable, families

VAL_LOSS = 'val/cross_entropy'
PERCENT = ('top1', 'top5', 'mIoU', 'aAcc')  # metrics of 0 to 100
EVALUATED = ('mAP', *PERCENT, VAL_LOSS)
Points = dict[int, float]  # step: value


def draw_curves(work_dir: str | Path, path: str | Path) -> None:
    """Draw a run's losses and evaluation metrics against the training step, to the picture `path`.

    Raises:
        ValueError: if the run left no scalars.
    """
    trained, evaluated = read_points(work_dir)
    with rc_context({'font.family': families(''.join([*trained, *evaluated]))}):
        _draw(trained, evaluated, path)


def _draw(trained: dict[str, Points], evaluated: dict[str, Points], path: str | Path) -> None:
    figure = Figure(figsize=(11, 4), layout='constrained')
    losses, metrics = figure.subplots(1, 2)
    for name, values in sorted(trained.items()):
        width = 2 if name == 'loss' else 1
        losses.plot(
            *zip(*sorted(values.items()), strict=True), label=drawable(name), linewidth=width
        )
    for name, values in sorted(evaluated.items()):
        axes = losses if name == VAL_LOSS else metrics
        share = 0.01 if name.endswith(PERCENT) else 1.0
        points = sorted((step, share * value) for step, value in values.items())
        axes.plot(*zip(*points, strict=True), marker='o', markersize=4, label=drawable(name))
    losses.set(xlabel='step', ylabel='loss' if VAL_LOSS in evaluated else 'training loss')
    metrics.set(xlabel='step', ylabel='evaluation')
    for axes in (losses, metrics):
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize='small')
    if any(name.endswith(PERCENT) for name in evaluated):
        metrics.set_ylim(0, 1.02)
        metrics.yaxis.set_major_formatter(PercentFormatter(1))
    figure.savefig(path, dpi=110)


def read_points(work_dir: str | Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """Training losses and evaluation metrics, each by name as values at training steps.

    A resumed run goes on in a new file; of a step that was trained twice the later value counts.

    Raises:
        ValueError: if the run left no scalars.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    rows = [row for file in files for row in _read_rows(file)]
    if not rows:
        why = 'nothing that can be read in its' if files else 'no'
        raise ValueError(f"'{work_dir}' holds {why} */vis_data/scalars.json: no run trained there")
    trained, evaluated = {}, {}
    last_step = 0  # MMEngine numbers evaluations by epoch or not at all
    for row in rows:
        if 'loss' in row:
            last_step = row['step']
            for name in (name for name in row if 'loss' in name):
                trained.setdefault(name, {})[last_step] = row[name]
        else:
            for name in (name for name in row if name.endswith(EVALUATED)):
                evaluated.setdefault(name, {})[last_step] = row[name]
    return trained, evaluated


def _read_rows(file: Path) -> list[dict[str, float]]:
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
            or 'loss' in found
            and not isinstance(found.get('step'), int)
        ):
            damaged.append(str(number))
            continue
        row = {name: math.nan if value is None else value for name, value in found.items()}
        row = {name: value for name, value in row.items() if isinstance(value, (int, float))}
        rows.extend([row] if row else [])
    if damaged:
        print_log(
            f"'{file}': {len(damaged)} lines are cut or damaged and left out (line "
            f'{", ".join(damaged[:5])}{", ..." if damaged[5:] else ""})',
            logger='current',
            level=logging.WARNING,
        )
    return rows
