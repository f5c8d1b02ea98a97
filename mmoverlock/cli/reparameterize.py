"""Merge the branches of a checkpoint: ``mmoverlock reparameterize CHECKPOINT``."""

import argparse

from mmoverlock.deploy.comparison import largest_difference
from mmoverlock.deploy.publish import reparameterize

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--output', metavar='FILE',
        help='new .pth or .safetensors (default: NAME_reparam.pth beside the checkpoint)',
    )  # fmt: skip
    parser.add_argument(
        '--config', metavar='FILE',
        help='config: compare what the backbone returns before and after',
    )  # fmt: skip
    add_config_options(parser)


@command(add_arguments, 'Merge the branches of the large kernels of a checkpoint.')
def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options) if args.config else None
    path = reparameterize(args.checkpoint, args.output)
    print(path)
    if cfg is not None:
        difference = largest_difference(cfg, args.checkpoint, path)
        print(f'largest difference of the maps, relative to the largest value: {difference:.1e}')
