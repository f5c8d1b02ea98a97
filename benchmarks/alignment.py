"""The same classifier trained with plain PyTorch and with the fast backend: do they learn the same?

    python benchmarks/alignment.py [--config CONFIG] [--backends reference numba] [--epochs N]

Seed, data order and initial weights are the same in all runs. The losses of every step are compared
with the first backend's, then the accuracies at the end. In float32 the runs drift apart: rounding
errors grow with every step that learns from them. How far they may drift is shown by the first
backend once more with a single thread: the same code, whose sums are added up in another order.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

from mmoverlock.visualization.curves import read_points

ROOT = Path(__file__).parents[1]
STEPS = 200  # compared one by one


def train(
    name: str, args: argparse.Namespace, **environment: str
) -> tuple[dict[int, float], float]:
    """The loss of every step, and the last top-1 accuracy in percent."""
    work_dir = args.out / name
    options = ['default_hooks.logger.interval=1', 'log_processor.window_size=1']
    if args.epochs:
        options.append(f'train_cfg.max_epochs={args.epochs}')
    command = [sys.executable, ROOT / 'tools/train.py', args.config, '--work-dir', work_dir]
    command += ['--seed', '0', '--overwrite', '--cfg-options', *options]
    subprocess.run(
        command,
        check=True,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
    )
    trained, evaluated = read_points(work_dir)
    return trained['loss'], list(evaluated['accuracy/top1'].values())[-1]


def draw(runs: dict[str, tuple[dict[int, float], float]], file: Path) -> None:
    """The losses over each other, and how far they are from the first backend's."""
    figure = Figure(figsize=(11, 4), layout='constrained')
    losses, differences = figure.subplots(1, 2)
    (base, (expected, _)), *_ = runs.items()
    for (name, (loss, top1)), dash in zip(runs.items(), ('-', '--', ':'), strict=False):
        label = f'{name}: top-1 {top1:.2f}%'
        losses.plot(list(loss), list(loss.values()), dash, label=label)
        if name != base:
            gaps = [abs(loss[step] - expected[step]) for step in loss]
            differences.semilogy(list(loss), gaps, label=f'{name} against {base}')
    losses.set(xlabel='step', ylabel='training loss')
    differences.set(xlabel='step', ylabel='absolute difference of the loss')
    for axes in (losses, differences):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(file, dpi=110)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=ROOT / 'configs/quickstart/overlock-xxt_digits.py')
    parser.add_argument('--backends', nargs='+', default=['reference', 'numba'])
    parser.add_argument('--epochs', type=int, help="instead of the config's")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/alignment'))
    args = parser.parse_args(argv)
    runs = {name: train(name, args, MMOVERLOCK_BACKEND=name) for name in args.backends}
    first = args.backends[0]
    again = f'{first}-1-thread'
    runs[again] = train(again, args, MMOVERLOCK_BACKEND=first, OMP_NUM_THREADS='1')
    (base, (expected, _)), *others = runs.items()
    rows = []
    for name, (loss, top1) in others:
        gaps = {step: abs(loss[step] - expected[step]) for step in list(expected)[:STEPS]}
        first, last = min(gaps), max(gaps)
        row = dict(first_step=gaps[first], largest=max(gaps.values()), steps=len(gaps), top1=top1)
        rows.append(dict(backend=name, base=base, **row))
        print(
            f'{name} against {base}: the loss differs by {gaps[first]:.1e} in the first step, at '
            f'most by {row["largest"]:.1e} in the first {len(gaps)} '
            f'(it falls from {expected[first]:.2f} to {expected[last]:.2f})'
        )
    for name, (_, top1) in runs.items():
        print(f'{name}: top-1 {top1:.2f}%')
    (args.out / 'alignment.json').write_text(json.dumps(rows, indent=2) + '\n')
    draw(runs, args.out / 'alignment.png')


if __name__ == '__main__':
    main()
