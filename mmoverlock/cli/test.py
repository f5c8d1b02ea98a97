"""Evaluate a checkpoint: ``mmoverlock test CONFIG CHECKPOINT --eval bbox segm``."""

import argparse
from pathlib import Path

from mmoverlock.checks.preflight import preflight
from mmoverlock.engine.distributed import process_group

from . import evaluation, outputs
from .command import command
from .config import load_config
from .options import ArgumentParser, add_run_options


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--eval', nargs='+', metavar='METRIC',
        help='bbox segm, mAP, mIoU, accuracy, ... (default: what the config says)',
    )  # fmt: skip
    parser.add_argument(
        '--classwise', action='store_true', help='print and write the figures of each class, too'
    )
    parser.add_argument(
        '--out', metavar='FILE',
        help="write the predictions to a new .pkl, or a detector's in COCO's format to a new .json",
    )  # fmt: skip
    parser.add_argument(
        '--pseudo-labels', metavar='PATH',
        help="write the predictions as annotations: a detector's to this new COCO .json, a "
        "segmentor's as PNGs into this folder",
    )  # fmt: skip
    parser.add_argument(
        '--score-thr', type=float, metavar='S',
        help="least score of a detector's pseudo-labels (default: 0.5)",
    )  # fmt: skip
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
    results = args.out if args.out and Path(args.out).suffix == '.json' else None
    if results:
        outputs.check_results(cfg, results)
    elif args.out:
        outputs.set_output(cfg, args.out)
    if args.pseudo_labels and args.pseudo_labels == args.out:
        raise ValueError(f"--out and --pseudo-labels are both '{args.out}'")
    if args.pseudo_labels:
        outputs.check_pseudo_labels(cfg, args.pseudo_labels, args.score_thr)
    elif args.score_thr is not None:
        raise ValueError('--score-thr requires --pseudo-labels')
    if args.show_dir:
        outputs.set_pictures(cfg, args.show_dir)
    preflight(cfg, training=False)
    with process_group(cfg):
        metrics, classes = outputs.run_test(
            cfg, args.classwise, results, args.pseudo_labels, args.score_thr, bool(args.show_dir)
        )
        outputs.write_metrics(cfg, metrics, classes, folder)
