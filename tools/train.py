"""Train a model: python tools/train.py CONFIG."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from mmoverlock.engine import cli, config, finetune  # noqa: E402
from mmoverlock.engine.dist import process_group  # noqa: E402
from mmoverlock.engine.preflight import check_work_dir, preflight  # noqa: E402


def parse_args(argv: Sequence[str]):
    parser = cli.ArgumentParser(description='Train a model.')
    parser.add_argument('config', help='config file')
    cli.add_common_arguments(parser)
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size'
    )
    parser.add_argument(
        '--resume', nargs='?', const='auto', metavar='PATH',
        help='continue from this checkpoint, or from the last one in the work_dir',
    )  # fmt: skip
    parser.add_argument(
        '--overwrite', action='store_true', help='remove the checkpoints of an earlier run'
    )
    parser.add_argument(
        '--data-root', metavar='DIR', help='train a classifier on this folder of class folders'
    )
    parser.add_argument(
        '--num-classes', type=int, metavar='N', help='how many classes that folder should have'
    )
    parser.add_argument(
        '--seed', type=int, metavar='N', help='make the run repeatable, bit by bit, somewhat slower'
    )
    return parser.parse_args(argv)


@cli.command
def main(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    cfg = config.load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.num_classes is not None and args.data_root is None:
        raise ValueError('--num-classes goes with --data-root')
    if args.data_root is not None:
        finetune.use_folder(cfg, args.data_root, args.num_classes)
    if args.seed is not None:
        finetune.set_seed(cfg, args.seed)
    if args.amp:
        config.use_amp(cfg)
    if args.auto_scale_lr:
        config.scale_lr(cfg)
    if args.resume and args.overwrite:
        raise ValueError('--resume and --overwrite contradict each other')
    if args.resume:
        config.set_resume(cfg, args.resume)
    config.add_guard(cfg, strict=False)
    preflight(cfg, training=True)
    check_work_dir(cfg, args.overwrite)
    with process_group(cfg):
        config.build_runner(cfg).train()


if __name__ == '__main__':
    main()
