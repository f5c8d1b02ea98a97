"""Evaluate a checkpoint: ``mmoverlock test CONFIG CHECKPOINT --eval bbox segm``."""

import argparse
from pathlib import Path

from mmoverlock.checks.preflight import preflight
from mmoverlock.engine.distributed import process_group
from mmoverlock.engine.runner import build_runner

from . import evaluation
from .command import command
from .config import load_config
from .options import ArgumentParser, add_run_options


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--eval', nargs='+', metavar='METRIC',
        help='bbox segm, mIoU, accuracy, ... (default: what the config says)',
    )  # fmt: skip
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to this file')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the predictions into this folder')
    parser.add_argument(
        '--tta', action='store_true',
        help="average over augmented images: the config's tta_pipeline, by default a flip",
    )  # fmt: skip
    add_run_options(parser)


@command(add_arguments, 'Evaluate a checkpoint.')
def main(args: argparse.Namespace) -> None:
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    cfg.load_from, cfg.resume = args.checkpoint, False
    folder = cfg.work_dir
    cfg.work_dir = str(Path(folder, 'test'))  # the training's logs and config stay as they are
    if args.eval:
        evaluation.set_metrics(cfg, args.eval)
    if args.tta:
        evaluation.set_tta(cfg)
    if args.out:
        evaluation.set_output(cfg, args.out)
    if args.show_dir:
        evaluation.set_pictures(cfg, args.show_dir)
    preflight(cfg, training=False)
    with process_group(cfg):
        metrics = build_runner(cfg, strict=True).test()
        evaluation.write_metrics(cfg, metrics, folder)
