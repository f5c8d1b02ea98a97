"""Training curves from the scalars that MMEngine writes beside its log."""

import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

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
    figure = Figure(figsize=(11, 4), layout='constrained')
    losses, metrics = figure.subplots(1, 2)
    for name, values in sorted(trained.items()):
        width = 2 if name == 'loss' else 1
        losses.plot(*zip(*sorted(values.items()), strict=True), label=name, linewidth=width)
    for name, values in sorted(evaluated.items()):
        axes = losses if name == VAL_LOSS else metrics
        share = 0.01 if name.endswith(PERCENT) else 1.0
        points = sorted((step, share * value) for step, value in values.items())
        axes.plot(*zip(*points, strict=True), marker='o', markersize=4, label=name)
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
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    if not rows:
        raise ValueError(f"'{work_dir}' holds no */vis_data/scalars.json: no run trained there")
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
