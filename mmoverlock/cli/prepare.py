"""Lay out or verify a data set, or look at one's own: ``mmoverlock prepare NAME|DIR [--check]``."""

import argparse
import os
from pathlib import Path

from mmoverlock.datasets.catalog import CATALOG
from mmoverlock.datasets.digits_scenes_layouts import LAYOUTS
from mmoverlock.datasets.formats import FORMATS
from mmoverlock.datasets.prepare import prepare

from .command import command
from .inspect import inspect_folder
from .options import ArgumentParser, add_debug

DESCRIPTION = (
    'Lay out or verify a known data set, or look at a folder of your own data. Nothing is '
    'downloaded, deleted or overwritten: archives that lie in the folder are unpacked there.'
)
FOLDER_OPTIONS = {'name', 'check', 'config', 'data_format', 'out'}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'name', type=_name_or_folder, metavar='NAME|DIR',
        help=f'{", ".join(CATALOG)}; or a folder of your own, for a report and a contact sheet',
    )  # fmt: skip
    parser.add_argument(
        '--root', type=Path, help='its folder (default: data/NAME; imagenet100: data/imagenet)'
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='NAME: only verify, and decode every image: takes a while',
    )
    parser.add_argument('--class-list', metavar='FILE', help='imagenet100: other class ids')
    parser.add_argument('--num-classes', type=int, help='tiny-imagenet: the first classes alone')
    parser.add_argument('--num-train', type=int, help='digits_scenes: number of training images')
    parser.add_argument('--num-val', type=int, help='digits_scenes: number of validation images')
    parser.add_argument('--seed', type=int, help='digits_scenes: seed of everything random')
    parser.add_argument(
        '--layout', choices=LAYOUTS, help="digits_scenes: as a user's folder in this format"
    )
    parser.add_argument(
        '--config', metavar='FILE',
        help='DIR: whose training pipeline is shown (default: the *_finetune.py of its task)',
    )  # fmt: skip
    parser.add_argument(
        '--data-format', choices=FORMATS, help='DIR: format of its annotations (default: detected)'
    )
    parser.add_argument(
        '--out', metavar='DIR', help='DIR: where the contact sheet goes (default: work_dirs/DIR)'
    )
    add_debug(parser)


def _name_or_folder(text: str) -> str:
    if text in CATALOG or Path(text).is_dir():
        return text
    if os.sep in text:
        raise argparse.ArgumentTypeError(f"folder '{text}' does not exist")
    raise argparse.ArgumentTypeError(
        f"invalid choice: '{text}' (choose from {', '.join(CATALOG)}, or name a folder)"
    )


@command(add_arguments, DESCRIPTION)
def main(args: argparse.Namespace) -> None:
    given = {key: value for key, value in vars(args).items() if value is not None}
    del given['debug']
    row = CATALOG.get(args.name)
    allowed = FOLDER_OPTIONS
    if row:
        allowed = {'name', 'check', *row.allowed(args.check)} | ({'root'} if row.root else set())
    for key in given.keys() - allowed:
        what = args.name if row else f"the folder '{args.name}'"
        raise ValueError(f'--{key.replace("_", "-")} is no option of {what} (see --help)')
    if row:
        prepare(**given)
    else:
        inspect_folder(args.name, args.config, args.data_format, args.out)
