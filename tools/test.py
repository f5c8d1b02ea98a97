"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT --eval bbox segm."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.engine import cli, config, evaluation  # noqa: E402
from mmoverlock.engine.dist import process_group  # noqa: E402
from mmoverlock.engine.preflight import preflight  # noqa: E402


def parse_args(argv: Sequence[str]):
    parser = cli.ArgumentParser(description='Evaluate a checkpoint.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--eval', nargs='+', metavar='METRIC',
        help='bbox segm, mIoU, accuracy, ... (default: what the config says)',
    )  # fmt: skip
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to this file')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the predictions into this folder')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


@cli.command
def main(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    cfg = config.load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    cfg.load_from, cfg.resume = args.checkpoint, False
    folder = cfg.work_dir
    cfg.work_dir = str(Path(folder, 'test'))  # the training's logs and config stay as they are
    if args.eval:
        evaluation.set_metrics(cfg, args.eval)
    if args.out:
        evaluation.set_output(cfg, args.out)
    if args.show_dir:
        evaluation.set_pictures(cfg, args.show_dir)
    config.add_guard(cfg, strict=True)
    preflight(cfg, training=False)
    with process_group(cfg):
        metrics = config.build_runner(cfg).test()
        evaluation.write_metrics(cfg, metrics, folder)


if __name__ == '__main__':
    main()
