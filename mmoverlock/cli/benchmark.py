"""Time a config's model on random images: ``mmoverlock benchmark CONFIG [--train]``."""

import argparse
import dataclasses
from pathlib import Path

from mmengine.logging import MMLogger

from mmoverlock.analysis.benchmark import benchmark
from mmoverlock.utils.json import dumps

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options, add_device, positive

FLAGS = {'merge=False': '--no-merge', "amp='bfloat16'": '--amp bfloat16'}  # in a report's advice


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--train', action='store_true', help='time whole training steps (default: inference)'
    )
    parser.add_argument(
        '--size', type=positive, nargs=2, metavar=('H', 'W'),
        help='height and width of the images (default: what the config tests with)',
    )  # fmt: skip
    parser.add_argument(
        '--batch-size', type=positive, metavar='N', help="default: 1; in training the config's"
    )
    parser.add_argument('--iters', type=positive, default=10, metavar='N', help='default: 10')
    parser.add_argument('--warmup', type=positive, default=2, metavar='N', help='default: 2')
    add_device(parser)
    parser.add_argument('--amp', choices=('bfloat16', 'float16'), help='mixed precision')
    parser.add_argument(
        '--no-merge', dest='merge', action='store_false',
        help='leave the large-kernel branches unmerged in inference',
    )  # fmt: skip
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file too')
    add_config_options(parser)


@command(add_arguments, 'Measure speed, memory, parameters and multiply-adds of a model.')
def main(args: argparse.Namespace) -> None:
    if args.json and not Path(args.json).absolute().parent.is_dir():
        raise ValueError(f"--json: the folder of '{args.json}' does not exist")
    if not args.debug:
        MMLogger.get_current_instance().setLevel('ERROR')  # no line for every parameter
    names = ('train', 'size', 'batch_size', 'iters', 'warmup', 'device', 'amp', 'merge')
    options = {name: getattr(args, name) for name in names}
    report = benchmark(load_config(args.config, args.cfg_options), **options)
    for argument, flag in FLAGS.items():
        advice = [line.replace(argument, flag) for line in report.slow]
        report = dataclasses.replace(report, slow=advice)
    print(report)
    if args.json:
        Path(args.json).write_text(dumps(dataclasses.asdict(report), indent=2) + '\n')
