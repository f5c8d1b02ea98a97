"""What the command-line tools share: arguments, and errors of one line.

A mistake in what the user gave ends with one line on stderr and exit code 2, a failure of the
program with one line and exit code 1, Ctrl-C with 130. The traceback of a failure goes to the
run's log file; ``--debug`` shows it at once.
"""

import argparse
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from mmengine.config import DictAction
from mmengine.logging import MMLogger

from .errors import one_line

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
ERROR_FILE = 'TORCHELASTIC_ERROR_FILE'  # torchrun's variable
USER_ERRORS = (ValueError, OSError)


class ArgumentParser(argparse.ArgumentParser):
    """Raises ValueError instead of printing the usage."""

    def error(self, message: str) -> None:
        raise ValueError(f'{message} (see {self.prog} --help)')


class OptionsAction(DictAction):
    """MMEngine's ``key=value`` pairs, refusing what is not one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for pair in values:
            key, equals, value = pair.partition('=')
            if not equals or not all(part.strip() for part in key.split('.')):
                raise argparse.ArgumentError(self, f"'{pair}' is not of the form key=value")
            if any(value.count(a) != value.count(b) for a, b in ('()', '[]')):
                raise argparse.ArgumentError(self, f"'{pair}' has unbalanced brackets")
        super().__call__(parser, namespace, values, option_string)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all tools with a config share."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, default={}, metavar='KEY=VALUE',
        help='change the config: model.backbone.arch=xxt train_cfg.max_epochs=3; '
        'lists as key="[a,b]", without spaces',
    )  # fmt: skip
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share."""
    parser.add_argument('--work-dir', help='where results go (default: ./work_dirs/<config name>)')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='how it was started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    add_config_arguments(parser)


def command(main: Callable[[Sequence[str]], None]) -> Callable[..., None]:
    """Decorate a tool's ``main(argv)``: its errors become one line and an exit code."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> None:
        argv = sys.argv[1:] if argv is None else list(argv)
        try:
            main(argv)
        except KeyboardInterrupt:
            _end(130)
        except Exception as error:
            if '--debug' in argv:
                traceback.print_exc()
            hint = _keep_traceback()
            if isinstance(error, USER_ERRORS):
                _fail(one_line(error), 2)
            _fail(f'{type(error).__name__}: {one_line(error)} ({hint})', 1)

    return guarded


def _fail(message: str, code: int) -> NoReturn:
    """Print the message; under torchrun hand it to the launcher, which prints one of all ranks'."""
    file = os.environ.get(ERROR_FILE)
    if file:
        Path(file).write_text(json.dumps(dict(message=message, timestamp=int(time.time()))))
    else:
        sys.stdout.flush()
        sys.stderr.write(f'error: {message}\n')
    _end(code)


def _end(code: int) -> NoReturn:
    """Exit; under torchrun at once, because a process group in use may hang or abort the exit."""
    if ERROR_FILE not in os.environ:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _keep_traceback() -> str:
    """Add the current traceback to the run's log file, if it has one; say where to find it."""
    log_file = MMLogger.get_current_instance().log_file
    if not log_file or not Path(log_file).is_file():
        return 'run again with --debug for the traceback'
    with open(log_file, 'a') as file:
        traceback.print_exc(file=file)
    return f'traceback in {log_file}'
