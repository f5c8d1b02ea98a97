"""Lay out or verify a data set: python tools/prepare_data.py NAME [--root ROOT] [--check]."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.datasets.catalog import CATALOG  # noqa: E402
from mmoverlock.datasets.prepare import prepare  # noqa: E402
from mmoverlock.engine.cli import ArgumentParser, command  # noqa: E402


def parse_args(argv: Sequence[str]) -> dict:
    parser = ArgumentParser(
        description='Lay out or verify a data set. Nothing is downloaded, deleted or overwritten: '
        'archives that lie in the folder are unpacked there.'
    )
    parser.add_argument('name', choices=CATALOG, help='the data set')
    parser.add_argument(
        '--root', type=Path, help='its folder (default: data/NAME; imagenet100: data/imagenet)'
    )
    parser.add_argument(
        '--check', action='store_true', help='only verify, and decode every image: takes a while'
    )
    parser.add_argument('--class-list', metavar='FILE', help='imagenet100: other class ids')
    parser.add_argument('--num-classes', type=int, help='tiny-imagenet: the first classes alone')
    parser.add_argument('--num-train', type=int, help='digits_scenes: number of training pictures')
    parser.add_argument('--num-val', type=int, help='digits_scenes: number of validation pictures')
    parser.add_argument('--seed', type=int, help='digits_scenes: seed of everything random')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    options = vars(parser.parse_args(argv))
    options.pop('debug')  # read by command
    return options


@command
def main(argv: Sequence[str]) -> None:
    options = parse_args(argv)
    row = CATALOG[options['name']]
    allowed = {'name', 'check', *row.allowed(options['check'])} | ({'root'} if row.root else set())
    given = {key: value for key, value in options.items() if value is not None}
    for key in given.keys() - allowed:
        flag = key.replace('_', '-')
        raise ValueError(f'--{flag} is no option of {options["name"]} (see --help)')
    prepare(**given)


if __name__ == '__main__':
    main()
