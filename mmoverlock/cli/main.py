"""The console command: ``mmoverlock train|test|infer|analyze|benchmark|prepare|draw|plot``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from mmoverlock import environment

from .command import command
from .encoding import use_utf8
from .options import ArgumentParser

COMMANDS = {
    'train': 'train a model',
    'test': 'evaluate a checkpoint',
    'infer': 'show what a model finds in images and videos',
    'analyze': 'analyse a trained model: measurements, pictures and a report',
    'benchmark': 'measure speed, memory, parameters and multiply-adds of a model',
    'prepare': 'lay out or verify a data set, or look at your own data',
    'draw': 'draw curves and predictions of a run',
    'plot': 'compare runs by their losses, learning rates and metrics',
    'export': 'write a trained model as ONNX, torch.export, TorchScript or OpenVINO',
    'publish': 'write the weights of a checkpoint alone, with their hash in the name',
    'reparameterize': 'merge the branches of a checkpoint',
    'validate': 'measure the accuracy of a classifier on a folder of classes',
    'doctor': 'say what of this installation is slow or broken, and how to mend it',
    'demo': 'show on a local web page what a model finds',
}


def add_arguments(parser: ArgumentParser) -> None:
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)


@command(add_arguments, 'OverLoCK for the OpenMMLab libraries.')
def choose(args: argparse.Namespace) -> ModuleType:
    """The command's module."""
    try:
        return import_module(f'.{args.command}', __package__)
    except ModuleNotFoundError:
        missing = environment.missing()
        if not missing:
            raise
        raise ValueError(
            f'{args.command} needs {", ".join(missing)}, not installed here: pip install '
            'mmoverlock; without, "mmoverlock infer" runs exported models'
        ) from None


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command. Each is a module of this package, with a ``main(argv, prog)`` of its own."""
    if argv is None:
        use_utf8()
    argv = sys.argv[1:] if argv is None else list(argv)
    module = choose(argv[:1], 'mmoverlock')
    module.main(argv[1:], f'mmoverlock {argv[0]}')
