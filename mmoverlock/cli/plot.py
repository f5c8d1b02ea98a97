"""Compare runs by their curves: ``mmoverlock plot RUN [RUN ...]``."""

import argparse
from pathlib import Path

from mmoverlock.analysis.curves.keys import select
from mmoverlock.analysis.curves.layout import AXES, lay_out
from mmoverlock.analysis.curves.runs import read_runs
from mmoverlock.analysis.curves.summary import time_rows, to_csv, value_rows
from mmoverlock.utils.files import removed_on_error, write_whole
from mmoverlock.visualization.panels import SUFFIXES, draw_panels

from .command import command
from .options import ArgumentParser, add_debug
from .outputs import aligned, check_new_file

PICTURE = 'curves.png'


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'runs', nargs='+', metavar='RUN',
        help='work_dir, time-stamped folder in it, scalars.json or epochs.csv',
    )  # fmt: skip
    parser.add_argument(
        '--keys', nargs='+', metavar='KEY',
        help="what to draw: names or patterns, such as loss 'loss_*' lr bbox_mAP "
        '(default: losses, learning rate, main metrics)',
    )  # fmt: skip
    parser.add_argument(
        '--labels', nargs='+', metavar='NAME', help='names of the runs (default: from their paths)'
    )
    parser.add_argument(
        '--out', default=PICTURE, metavar='FILE',
        help=f'the picture, a new file: {", ".join(SUFFIXES)} (default: ./{PICTURE})',
    )  # fmt: skip
    parser.add_argument(
        '--csv', metavar='FILE', help='the points, a new file (default: beside the picture)'
    )
    parser.add_argument(
        '--x', choices=AXES,
        help='horizontal axis; time is that of training (default: step if it is known)',
    )  # fmt: skip
    parser.add_argument(
        '--smooth', type=weight, default=0.0, metavar='W',
        help="smooth what was measured in training, with TensorBoard's weight: 0.6, 0.9, ... "
        '(default: 0, not at all)',
    )  # fmt: skip
    parser.add_argument(
        '--log-y', action='store_true', help='logarithmic axes of losses and learning rates'
    )
    add_debug(parser)


def weight(text: str) -> float:
    """The type of a weight of smoothing."""
    try:
        if 0 <= float(text) < 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to below 1")


@command(add_arguments, 'Draw losses, learning rates and metrics of several runs in one picture.')
def main(args: argparse.Namespace) -> None:
    if Path(args.out).suffix not in SUFFIXES:
        raise ValueError(f"--out: '{args.out}' does not end in {', '.join(SUFFIXES)}")
    table = args.csv or Path(args.out).with_suffix('.csv')
    check_new_file('--out', args.out)
    check_new_file('--csv', table)
    everything = read_runs(args.runs, args.labels)
    chosen = select(everything, args.keys)
    panels, xlabel = lay_out(chosen, args.x, args.smooth, args.log_y)
    if not panels:
        raise ValueError('nothing to draw: no loss, learning rate or metric was logged')
    draw_panels(panels, [run.name for run in chosen], xlabel, args.out)
    with removed_on_error(args.out):
        write_whole(table, to_csv(chosen).encode())
    for rows in (value_rows(chosen), time_rows(everything)):
        if rows:
            print(aligned(rows) + '\n')
    print(f'curves: {args.out}, points: {table}')
