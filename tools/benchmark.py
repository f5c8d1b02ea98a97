"""Time a config's model on random images: python tools/benchmark.py CONFIG [--train]."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmengine.logging import MMLogger  # noqa: E402

from mmoverlock.analysis.benchmark import benchmark  # noqa: E402
from mmoverlock.engine import cli, config  # noqa: E402


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def parse_args(argv: Sequence[str]):
    parser = cli.ArgumentParser(
        description='Measure speed, memory, parameters and multiply-adds of a model.'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--train', action='store_true', help='time whole training steps (default: inference)'
    )
    parser.add_argument(
        '--size', type=positive, nargs=2, metavar=('H', 'W'),
        help='of the images (default: what the config tests with)',
    )  # fmt: skip
    parser.add_argument(
        '--batch-size', type=positive, metavar='N', help="default: 1; in training the config's"
    )
    parser.add_argument('--iters', type=positive, default=10, metavar='N', help='default: 10')
    parser.add_argument('--warmup', type=positive, default=2, metavar='N', help='default: 2')
    parser.add_argument('--device', help='cpu, cuda, cuda:N (default: a GPU if there is one)')
    parser.add_argument('--amp', choices=('bfloat16', 'float16'), help='mixed precision')
    parser.add_argument(
        '--no-merge', dest='merge', action='store_false',
        help='leave the large-kernel branches unmerged in inference',
    )  # fmt: skip
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file too')
    cli.add_config_arguments(parser)
    return parser.parse_args(argv)


@cli.command
def main(argv: Sequence[str]) -> None:
    args = vars(parse_args(argv))
    file, options = args.pop('json'), args.pop('cfg_options')
    if file and not Path(file).absolute().parent.is_dir():
        raise ValueError(f"--json: the folder of '{file}' does not exist")
    if not args.pop('debug'):
        MMLogger.get_current_instance().setLevel('ERROR')  # no line for every parameter
    report = benchmark(config.load_config(args.pop('config'), options), **args)
    print(report)
    if file:
        Path(file).write_text(json.dumps(dataclasses.asdict(report), indent=2) + '\n')


if __name__ == '__main__':
    main()
