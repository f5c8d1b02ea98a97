"""Show what a model finds in images and videos: ``mmoverlock infer CONFIG CHECKPOINT FILE``."""

import argparse
import sys
from pathlib import Path

from mmengine.logging import MMLogger

from mmoverlock.apis import Inferencer, describe

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options, add_device


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        'images', nargs='+', metavar='IMAGE', help='file, folder, "pattern*.jpg" or video'
    )
    parser.add_argument(
        '--out', metavar='DIR', help='where results go (default: infer/ in the work_dir)'
    )
    add_device(parser)
    parser.add_argument(
        '--topk', type=int, default=5, metavar='N', help='classes a classifier names (default: 5)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, metavar='S',
        help='least score of the objects a detector reports (default: 0.3)',
    )  # fmt: skip
    parser.add_argument(
        '--merge', action=argparse.BooleanOptionalAction, default=True,
        help='merge the large-kernel branches (the default)',
    )  # fmt: skip
    parser.add_argument(
        '--slice', type=int, metavar='SIDE',
        help='let a detector search large images in tiles of this side, in pixels',
    )  # fmt: skip
    parser.add_argument(
        '--calibration', metavar='FILE',
        help='calibrate the scores of a classifier: a calibrator_*.json of "mmoverlock analyze"',
    )  # fmt: skip
    add_config_options(parser)


@command(add_arguments, 'Show what a model finds in images or videos.')
def main(args: argparse.Namespace) -> None:
    if not args.debug:
        MMLogger.get_current_instance().setLevel('WARNING')
    cfg = load_config(args.config, args.cfg_options)
    model = Inferencer(
        cfg, args.checkpoint, args.device, args.topk, args.score_thr, args.merge, args.slice,
        args.calibration,
    )  # fmt: skip
    failures, videos = [], False
    for result in model.run(args.images, args.out or Path(cfg.work_dir, 'infer')):
        failures.append('error' in result)
        videos |= 'video' in result
        print(describe(result), file=sys.stderr if failures[-1] else sys.stdout)
    if any(failures):
        what = 'files' if videos else 'images'
        raise ValueError(f'{sum(failures)} of {len(failures)} {what} could not be used')
