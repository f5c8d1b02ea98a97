"""Write a checkpoint's weights alone: ``mmoverlock publish CHECKPOINT``."""

import argparse

from mmoverlock.deploy.publish import FORMATS, publish

from .command import command
from .options import ArgumentParser, add_debug


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--output', metavar='PATH',
        help='new file, whose name gets the hash, or folder (default: beside the checkpoint)',
    )  # fmt: skip
    parser.add_argument(
        '--merge', action='store_true',
        help='merge the branches of the large kernels: faster, but not to be trained further',
    )  # fmt: skip
    parser.add_argument(
        '--format', choices=FORMATS, help='default: what the output ends in, else pth'
    )
    parser.add_argument(
        '--ema', action=argparse.BooleanOptionalAction,
        help='take the weights of the moving average, or not (default: if there are any)',
    )  # fmt: skip
    add_debug(parser)


@command(add_arguments, 'Write the weights of a checkpoint alone, with their hash in the name.')
def main(args: argparse.Namespace) -> None:
    path = publish(args.checkpoint, args.output, args.merge, args.format, args.ema)
    print(f'{path} ({path.stat().st_size / 1e6:.1f} MB)')
