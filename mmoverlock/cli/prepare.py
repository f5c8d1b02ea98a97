"""Lay out or verify a data set: ``mmoverlock prepare NAME [--root ROOT] [--check]``."""

import argparse
from pathlib import Path

from mmoverlock.datasets.catalog import CATALOG
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.datasets.prepare import prepare

from .command import command
from .options import ArgumentParser, add_debug

DESCRIPTION = (
    'Lay out or verify a data set. Nothing is downloaded, deleted or overwritten: '
    'archives that lie in the folder are unpacked there.'
)


def add_arguments(parser: ArgumentParser) -> None:
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
    parser.add_argument(
        '--layout', choices=LAYOUTS, help="digits_scenes: as a user's folder in this format"
    )
    add_debug(parser)


@command(add_arguments, DESCRIPTION)
def main(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if value is not None}
    del given['debug']
    row = CATALOG[args.name]
    allowed = {'name', 'check', *row.allowed(args.check)} | ({'root'} if row.root else set())
    for key in given.keys() - allowed:
        raise ValueError(f'--{key.replace("_", "-")} is no option of {args.name} (see --help)')
    prepare(**given)
