"""Show what a model finds in images and videos: ``mmoverlock infer CONFIG CHECKPOINT FILE``.

Or ``mmoverlock infer MODEL.onnx FILE``: this module and what it imports then need no PyTorch.
"""

import argparse
import sys
from pathlib import Path

from mmoverlock import environment
from mmoverlock.runtime import ExportedModel
from mmoverlock.runtime.pictures import PictureModel, describe

from .command import command
from .options import ArgumentParser, add_config_options, add_device, positive

OTHER_EXPORTS = ('.xml', '.pt2', '.pt', '.torchscript')  # that another runtime runs


def add_arguments(parser: ArgumentParser) -> None:
    parser.intermixed = True
    parser.add_argument('config', help='config file, or an exported model (.onnx)')
    parser.add_argument('checkpoint', help='checkpoint file or URL; none after an exported model')
    parser.add_argument(
        'images', nargs='*', metavar='IMAGE', help='file, folder, "pattern*.jpg" or video'
    )
    parser.add_argument(
        '--out', metavar='DIR',
        help="where results go (default: infer/ in the work_dir; an exported model's: "
        './work_dirs/<its name>/infer)',
    )  # fmt: skip
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
    parser.add_argument(
        '--threads', type=positive, metavar='N',
        help='of ONNX Runtime, for an exported model (default: as many as cores)',
    )  # fmt: skip
    add_config_options(parser)


@command(add_arguments, 'Show what a model finds in images or videos.')
def main(args: argparse.Namespace) -> None:
    kind = Path(args.config).suffix.lower()
    if kind in OTHER_EXPORTS:
        raise ValueError(f"'{args.config}': of exported models, infer runs .onnx files alone")
    if kind == '.onnx':
        images = [args.checkpoint, *args.images]
        model, out = _exported(args), Path('work_dirs', Path(args.config).stem, 'infer')
    elif not args.images:
        raise ValueError(
            'the following arguments are required: IMAGE (see mmoverlock infer --help)'
        )
    else:
        images = args.images
        model, out = _trained(args)
    failures, videos = [], False
    for result in model.run(images, args.out or out):
        failures.append('error' in result)
        videos |= 'video' in result
        print(describe(result), file=sys.stderr if failures[-1] else sys.stdout)
    if any(failures):
        what = 'files' if videos else 'images'
        raise ValueError(f'{sum(failures)} of {len(failures)} {what} could not be used')


def _exported(args: argparse.Namespace) -> PictureModel:
    given = dict(device=args.device, slice=args.slice, cfg_options=args.cfg_options or None)
    given['no_merge'] = None if args.merge else True
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} is for checkpoints, not for '{args.config}'"
            )
    return ExportedModel(args.config, args.topk, args.score_thr, args.calibration, args.threads)


def _trained(args: argparse.Namespace) -> tuple[PictureModel, Path]:
    """The model of a config and a checkpoint, and where its results go."""
    missing = environment.missing()
    if missing:
        raise ValueError(
            f"'{args.config}' needs {', '.join(missing)}, not installed here: "
            'pip install mmoverlock; or give an exported model (.onnx)'
        )
    if args.threads:
        raise ValueError(f'--threads {args.threads} is for exported models (.onnx)')
    from mmengine.logging import MMLogger

    from mmoverlock.apis import Inferencer

    from .config import load_config

    if not args.debug:
        MMLogger.get_current_instance().setLevel('WARNING')
    cfg = load_config(args.config, args.cfg_options)
    model = Inferencer(
        cfg, args.checkpoint, args.device, args.topk, args.score_thr, args.merge, args.slice,
        args.calibration,
    )  # fmt: skip
    return model, Path(cfg.work_dir, 'infer')
