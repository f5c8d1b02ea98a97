"""The console command: ``mmoverlock train|test|infer|analyze|benchmark|prepare|draw|plot``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .encoding import use_utf8

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command. Each is a module of this package, with a ``main(argv, prog)`` of its own."""
    if argv is None:
        use_utf8()
    argv = sys.argv[1:] if argv is None else list(argv)
    name = 'doctor' if argv[:1] == ['doctor'] else _choose(argv[:1])
    import_module(f'.{name}', __package__).main(argv[1:], f'mmoverlock {name}')


def _choose(argv: list[str]) -> str:
    from .command import command  # loads PyTorch, without which the doctor starts

    choose = command(add_arguments, 'OverLoCK for the OpenMMLab libraries.')
    return choose(lambda args: args.command)(argv, 'mmoverlock')
