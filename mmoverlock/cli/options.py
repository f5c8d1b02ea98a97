"""Parsers, and the options that several commands share."""

import argparse

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')


class ArgumentParser(argparse.ArgumentParser):
    """Raises ValueError instead of printing the usage.

    Attributes:
        intermixed: Options may stand between the positional arguments, also where the last of these
            may be missing.
    """

    intermixed = False

    def parse_args(self, *args, **kwargs) -> argparse.Namespace:
        parse = super().parse_intermixed_args if self.intermixed else super().parse_args
        return parse(*args, **kwargs)

    def error(self, message: str) -> None:
        raise ValueError(f'{message} (see {self.prog} --help)')


class OptionsAction(argparse.Action):
    """MMEngine's ``key=value`` pairs, refusing what is not one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for pair in values:
            key, equals, value = pair.partition('=')
            if not equals or not all(part.strip() for part in key.split('.')):
                raise argparse.ArgumentError(self, f"'{pair}' is not of the form key=value")
            if any(value.count(a) != value.count(b) for a, b in ('()', '[]')):
                raise argparse.ArgumentError(self, f"'{pair}' has unbalanced brackets")
        from mmengine.config import DictAction  # not installed where only exported models run

        read = DictAction(self.option_strings, self.dest, nargs=self.nargs)
        read(parser, namespace, values, option_string)


def positive(text: str) -> int:
    """The type of an option that is a positive number."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the option that all commands share."""
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands with a config share."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, default={}, metavar='KEY=VALUE',
        help='change the config: model.backbone.arch=xxt train_cfg.max_epochs=3; '
        'lists as key="[a,b]", without spaces',
    )  # fmt: skip
    add_debug(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share."""
    parser.add_argument('--work-dir', help='where results go (default: ./work_dirs/<config name>)')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='how it was started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    add_config_options(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that run in one process."""
    parser.add_argument('--device', help='cpu, cuda, cuda:N (default: a GPU if there is one)')
