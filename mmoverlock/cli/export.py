"""Export a trained model: ``mmoverlock export CONFIG CHECKPOINT --format NAME --output FILE``."""

import argparse

from mmengine.logging import MMLogger

from mmoverlock.deploy.export import Exported, export
from mmoverlock.deploy.formats import FORMATS, LEAST, OPSET
from mmoverlock.deploy.preprocess import INSIDE

from .command import command
from .config import load_config
from .options import ArgumentParser, add_config_options, positive


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--format', required=True, metavar='NAME', help=f'one of {", ".join(FORMATS)}'
    )
    parser.add_argument(
        '--output', required=True, metavar='FILE',
        help='a new file: .onnx, .pt2 (torch-export), .pt (torchscript) or .xml (openvino)',
    )  # fmt: skip
    parser.add_argument(
        '--dynamic', action='store_true',
        help=f'any batch, any height and width from {LEAST} (default: one picture of --size)',
    )  # fmt: skip
    parser.add_argument(
        '--half', action='store_true', help='weights and computation in half precision'
    )
    parser.add_argument(
        '--size', type=positive, nargs=2, metavar=('H', 'W'),
        help='height and width of the input (default: what the config tests with)',
    )  # fmt: skip
    parser.add_argument(
        '--preprocess', default='normalize', metavar='WHAT',
        help=f'what is inside the graph: one of {", ".join(INSIDE)} (all of it); '
        'default: normalize, which is normalisation and padding',
    )  # fmt: skip
    parser.add_argument(
        '--opset', type=positive, default=OPSET, metavar='N', help=f"ONNX's (default: {OPSET})"
    )
    parser.add_argument(
        '--no-verify', dest='verify', action='store_false', help='do not compare it with PyTorch'
    )
    add_config_options(parser)


@command(add_arguments, 'Write a trained model as ONNX, torch.export, TorchScript or OpenVINO.')
def main(args: argparse.Namespace) -> None:
    if not args.debug:
        MMLogger.get_current_instance().setLevel('ERROR')
    cfg = load_config(args.config, args.cfg_options)
    size = None if args.size is None else tuple(args.size)
    found = export(
        cfg, args.checkpoint, args.format, args.output, args.dynamic, args.half, size,
        args.preprocess, args.opset, args.verify,
    )  # fmt: skip
    print('\n'.join(describe(found)))


def describe(found: Exported) -> list[str]:
    """What was written and verified, in lines."""
    spec, (first, *others) = found.spec, found.files
    megabytes = sum(file.stat().st_size for file in found.files) / 1e6
    also = f' and {", ".join(file.name for file in others)}' if others else ''
    sides = ' × '.join(str(a) if a == b else f'{a} to {b}' for a, b in spec.sizes)
    least, most = spec.batch
    batches = str(least) if least == most else f'{least} to {most}'
    lines = [
        f'wrote {first}{also} ({megabytes:.1f} MB): {spec.task}, {len(spec.classes)} classes',
        f'  input: image, float32 (batch, channels, height, width), {spec.channels.upper()}; '
        f'batch {batches}, {sides} pixels',
        f'  inside: {_names(spec.inside)}; before it: {_names(spec.before)}',
        f'  outputs: {", ".join(found.outputs)}',
    ]
    if found.note:
        lines.append(f'  half precision: {found.note}')
    if not found.tried:
        return [*lines, 'not verified']
    tried = ', '.join('×'.join(map(str, shape)) for shape in dict.fromkeys(found.tried))
    lines.append(f'verified against PyTorch, on pictures {found.pictures}, {tried}:')
    return [*lines, *(f'  {line}' for line in found.lines)]


def _names(steps: tuple) -> str:
    return ', '.join(step.type for step in steps) or 'nothing'
