"""Measure the accuracy of a classifier on a folder of classes: ``mmoverlock validate FOLDER``."""

import argparse
from importlib.util import find_spec

import torch

from mmoverlock.analysis.progress import progress
from mmoverlock.utils.device import pick_device
from mmoverlock.utils.files import write_whole
from mmoverlock.utils.json import dumps

from .command import command
from .options import ArgumentParser, add_debug, add_device, positive
from .outputs import check_new_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'data', metavar='FOLDER',
        help='folder with val/ (or valid/, validation/) in it, or with one folder for each class',
    )  # fmt: skip
    parser.add_argument(
        '--model', required=True, metavar='NAME', help='overlock_xxt, _xt, _t, _s, _b'
    )
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument('--pretrained', action='store_true', help='take the published weights')
    weights.add_argument(
        '--checkpoint', metavar='FILE', help="a published file, or one of our or timm's training"
    )
    parser.add_argument('--use-ema', action='store_true', help="timm's averaged weights in it")
    parser.add_argument('--split', metavar='NAME', help='the folder in FOLDER (default: val)')
    parser.add_argument(
        '-b', '--batch-size', type=positive, default=128, metavar='N', help='default: 128'
    )
    parser.add_argument(
        '-j', '--workers', type=workers, default=4, metavar='N',
        help='processes that read images; 0: none but this (default: 4)',
    )  # fmt: skip
    parser.add_argument(
        '--img-size', type=side, metavar='N', help='height and width, in pixels (default: 224)'
    )
    parser.add_argument(
        '--crop-pct', type=share, metavar='P',
        help="side of the central crop over the resized image's (default: the model's)",
    )  # fmt: skip
    add_device(parser)
    parser.add_argument('--amp', choices=('bfloat16', 'float16'), help='mixed precision')
    parser.add_argument(
        '--merge', action=argparse.BooleanOptionalAction, default=True,
        help='merge the large-kernel branches (the default)',
    )  # fmt: skip
    parser.add_argument('--results-file', metavar='FILE', help='write the figures to this new JSON')
    add_debug(parser)


def workers(text: str) -> int:
    """The type of a number of worker processes."""
    return int(text) if text == '0' else positive(text)


def side(text: str) -> int:
    """The type of the images' height and width."""
    if positive(text) < 32:
        raise argparse.ArgumentTypeError(f'{text} pixels: at least 32 are needed')
    return int(text)


def share(text: str) -> float:
    """The type of a share of a side."""
    try:
        if 0 < float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0, up to 1")


@command(add_arguments, 'Measure the top-1 and top-5 accuracy of a classifier.')
def main(args: argparse.Namespace) -> None:
    if not find_spec('timm'):
        raise ValueError("'timm' is needed, but not installed: pip install 'mmoverlock[cls]'")
    from mmoverlock.apis import validation

    if args.use_ema and not args.checkpoint:
        raise ValueError('--use-ema needs --checkpoint')
    if args.results_file:
        check_new_file('--results-file', args.results_file)
    device = pick_device(args.device)
    folder = validation.find_split(args.data, args.split)
    checkpoint = validation.read_weights(args.checkpoint, args.use_ema) if args.checkpoint else None
    images = validation.Images(folder, validation.class_order(folder, checkpoint))
    model = validation.load_classifier(
        args.model, len(images.classes), checkpoint, args.checkpoint, args.merge
    )
    loader, config = validation.image_loader(
        images, model, args.batch_size, args.workers, device, args.img_size, args.crop_pct
    )
    amp = getattr(torch, args.amp) if args.amp else None
    result = dict(model=args.model, checkpoint=args.checkpoint or 'published', data=folder)
    result |= dict(classes=len(images.classes), img_size=config['input_size'][-1])
    result |= {name: config[name] for name in ('crop_pct', 'interpolation')}
    result |= validation.topk_accuracy(
        model, progress(loader, 'validate', len(loader)), device, amp
    )
    if args.results_file:
        write_whole(args.results_file, (dumps(result, indent=2) + '\n').encode())
    print(
        f'{args.model}: top-1 {result["top1"]:.3f} %, top-5 {result["top5"]:.3f} % '
        f'({result["images"]} images of {result["classes"]} classes, {result["img_size"]} pixels, '
        f'crop {result["crop_pct"]}, {result["interpolation"]})'
    )
