"""Lay out or verify a data set: ``mmoverlock prepare NAME [--root ROOT] [--check]``."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

from mmoverlock.datasets import make_digits_scenes
from mmoverlock.datasets.prepare import PREPARERS

from .command import command
from .options import ArgumentParser, add_debug

ROOTS = {'imagenet100': 'data/imagenet'}  # where not data/NAME
DESCRIPTION = (
    'Lay out or verify a data set. Nothing is downloaded, deleted or overwritten: '
    'archives that lie in the folder are unpacked there.'
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('name', choices=PREPARERS, help='the data set')
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
    add_debug(parser)


@command(add_arguments, DESCRIPTION)
def main(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if value is not None}
    name = given.pop('name')
    del given['debug']
    allowed = {*inspect.signature(PREPARERS[name]).parameters}
    if name == 'digits_scenes' and not args.check:
        allowed |= {*inspect.signature(make_digits_scenes).parameters}
    for key in given.keys() - allowed:
        raise ValueError(f'--{key.replace("_", "-")} is no option of {name} (see --help)')
    if 'root' in allowed:
        given.setdefault('root', Path(ROOTS.get(name, f'data/{name}')))
    PREPARERS[name](**given)
