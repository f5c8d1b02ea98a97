"""Show on a local web page what a model finds: ``mmoverlock demo CONFIG CHECKPOINT``."""

import argparse
import tempfile
import threading
from pathlib import Path

from mmengine.logging import MMLogger

from mmoverlock.demo import Viewer, serve
from mmoverlock.demo.examples import example_pictures
from mmoverlock.demo.server import require_gradio

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options, add_device, positive


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--compare', metavar='CHECKPOINT', help='a second model, shown beside the first'
    )
    parser.add_argument(
        '--compare-config', metavar='CONFIG', help='its config (default: that of the first)'
    )
    parser.add_argument(
        '--host', default='127.0.0.1',
        help='address to listen on; 0.0.0.0 lets other machines in (default: 127.0.0.1, this '
        'machine alone)',
    )  # fmt: skip
    parser.add_argument(
        '--port', type=positive, metavar='N', help='default: the first free one from 7860 on'
    )
    add_device(parser)
    parser.add_argument(
        '--merge', action=argparse.BooleanOptionalAction, default=True,
        help='merge the large-kernel branches (the default)',
    )  # fmt: skip
    add_config_options(parser)


@command(add_arguments, 'Show on a local web page what a model finds.')
def main(args: argparse.Namespace) -> None:
    if not args.debug:
        MMLogger.get_current_instance().setLevel('WARNING')
    if args.compare_config and not args.compare:
        raise ValueError('--compare-config needs --compare')
    require_gradio()
    cfg = load_config(args.config, args.cfg_options)
    others = []
    if args.compare:
        second = args.compare_config or args.config
        others.append((load_config(second, args.cfg_options), args.compare))
    viewer = Viewer(cfg, args.checkpoint, *others, device=args.device, merge=args.merge)
    with tempfile.TemporaryDirectory() as folder:
        examples = example_pictures(cfg, Path(folder))
        with serve(viewer, Path(args.config).stem, examples, args.host, args.port) as server:
            print(f'demo: {server.url} (Ctrl-C ends it)', flush=True)
            threading.Event().wait()
