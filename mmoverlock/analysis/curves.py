"""Training curves from the scalars that MMEngine writes beside its log."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure


def read_scalars(work_dir: str | Path) -> list[dict[str, float]]:
    """All scalars of a work_dir, in the order of writing; a resumed run goes on in a new file.

    Raises:
        ValueError: if there are none.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    if not rows:
        raise ValueError(f"'{work_dir}' holds no */vis_data/scalars.json: no run trained there")
    return rows


def draw_curves(work_dir: str | Path, path: str | Path) -> None:
    """Draw losses and evaluation metrics against the training step.

    Args:
        work_dir: Of a training run.
        path: The picture to write, or to replace.

    Raises:
        ValueError: if the run left no scalars.
    """
    rows = read_scalars(work_dir)
    train = [row for row in rows if 'loss' in row]
    figure = Figure(figsize=(11, 4), layout='constrained')
    losses, metrics = figure.subplots(1, 2)

    for name in sorted({name for row in train for name in row if 'loss' in name}):
        points = [(row['step'], row[name]) for row in train if name in row]
        losses.plot(*zip(*points, strict=True), label=name, linewidth=2 if name == 'loss' else 1)
    losses.set(xlabel='step', ylabel='training loss', ylim=(0, None))
    losses.legend(fontsize='small')

    # MMEngine numbers evaluations by epoch or not at all: they stand at the last training step.
    last_step, points = 0, {}
    for row in rows:
        if 'loss' in row:
            last_step = row['step']
            continue
        for name, value in row.items():
            if name.endswith(('mAP', 'mIoU', 'top1', 'aAcc')):
                points.setdefault(name, {})[last_step] = value
    for name, values in points.items():
        metrics.plot(*zip(*sorted(values.items()), strict=True), marker='o', label=name)
    metrics.set(xlabel='step', ylabel='evaluation', ylim=(0, None))
    if points:
        metrics.legend(fontsize='small')
    for axes in (losses, metrics):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
