"""Compare runs of train.py with the first of them, step by step.

    python compare.py RUN RUN [RUN ...]

Prints a table: by how much the training loss differs in the first step, at most and in the mean of
the first 200 steps, the last accuracies, and the median time of a step.
"""

import argparse
from pathlib import Path

import numpy as np

from plot import read

STEPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='folder of train.py')
    runs = parser.parse_args().runs
    for run in runs:
        if not (run / 'steps.csv').is_file():
            parser.error(f'{run}: it holds no steps.csv')
    base = read(runs[0] / 'steps.csv')
    number = min(STEPS, *(len(read(run / 'steps.csv')['loss']) for run in runs))
    print(f'Differences of the training loss from {runs[0].name}, {number} steps:\n')
    print('| run | first step | largest | mean | top-1 | top-5 | time of a step |')
    print('|---|---|---|---|---|---|---|')
    for run in runs:
        steps, log = read(run / 'steps.csv'), read(run / 'log.csv')
        gaps = abs(steps['loss'][:number] - base['loss'][:number])
        row = [run.name, f'{gaps[0]:.1e}', f'{gaps.max():.2g}', f'{gaps.mean():.2g}']
        row += [f'{log[name][-1]:.2f}' for name in ('acc_top1', 'acc_top5')]
        row.append(f'{1000 * np.median(steps["seconds"][1:]):.0f} ms')
        print(f'| {" | ".join(row)} |')


if __name__ == '__main__':
    main()
