"""Analyse a trained model: ``mmoverlock analyze CONFIG CHECKPOINT``."""

import argparse
import os
import shlex
import sys
import webbrowser
from pathlib import Path

from mmengine.logging import print_log

from mmoverlock.analysis.analysis import Options
from mmoverlock.analysis.catalog import NAMES, check_name
from mmoverlock.analysis.run import analyze
from mmoverlock.checks.preflight import preflight

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options, add_device, positive


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--analysis', nargs='+', default=['all'], metavar='NAME',
        help=f'{", ".join(NAMES)}, or all that the task has (the default)',
    )  # fmt: skip
    parser.add_argument(
        '--output-dir', metavar='DIR', help='where results go (default: analysis/ in the work_dir)'
    )
    parser.add_argument(
        '--max-images', type=positive, metavar='N',
        help='use N images, spread over the test set (default: all)',
    )  # fmt: skip
    parser.add_argument(
        '--layers', nargs='+', default=[], metavar='NAME',
        help='layers for class activation maps: dotted names of modules (default: the last maps)',
    )  # fmt: skip
    parser.add_argument(
        '--compare', metavar='CHECKPOINT', help='compare the receptive field with that of this one'
    )
    parser.add_argument(
        '--show', action=argparse.BooleanOptionalAction, default=True,
        help='open the report in a browser, if there is a screen (the default)',
    )  # fmt: skip
    add_device(parser)
    add_config_options(parser)


def _command_line() -> str:
    """The command as a user types it, be it called as ``mmoverlock`` or as ``tools/analyze.py``."""
    given = sys.argv[1:]
    return shlex.join(['mmoverlock', *([] if given[:1] == ['analyze'] else ['analyze']), *given])


@command(add_arguments, 'Analyse a trained model: measurements, pictures and a report.')
def main(args: argparse.Namespace) -> None:
    for name in args.analysis:
        check_name(name)
    cfg = load_config(args.config, args.cfg_options)
    checked = cfg.copy()
    checked.load_from, checked.resume = args.checkpoint, False
    checked.test_cfg, checked.test_evaluator = {}, []  # analyses have measures of their own
    preflight(checked, training=False)
    report = analyze(
        cfg,
        args.checkpoint,
        args.analysis,
        args.output_dir,
        args.device,
        args.max_images,
        Options(tuple(args.layers), args.compare),
        _command_line(),
    )
    print_log(f'report: {report}', logger='current')
    if args.show and sys.stdout.isatty() and os.environ.get('DISPLAY'):
        webbrowser.open(Path(report).absolute().as_uri())
