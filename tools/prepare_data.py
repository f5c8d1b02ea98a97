"""Make or prepare a data set: python tools/prepare_data.py NAME [--root ROOT]."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.datasets import make_digits_scenes  # noqa: E402
from mmoverlock.engine.cli import ArgumentParser, command  # noqa: E402

MAKERS = dict(digits_scenes=make_digits_scenes)


@command
def main(argv: Sequence[str]) -> None:
    parser = ArgumentParser(description='Make or prepare a data set.')
    parser.add_argument('name', choices=MAKERS, help='the data set')
    parser.add_argument('--root', help='folder to make (default: data/NAME)')
    parser.add_argument('--num-train', type=int, help='number of training pictures')
    parser.add_argument('--num-val', type=int, help='number of validation pictures')
    parser.add_argument('--seed', type=int, help='seed of everything random')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    options = vars(parser.parse_args(argv))
    options.pop('debug')  # read by command
    name, root = options.pop('name'), options.pop('root')
    given = {key: value for key, value in options.items() if value is not None}
    MAKERS[name](root or f'data/{name}', **given)


if __name__ == '__main__':
    main()
