"""Commands: from arguments to a run, its errors in one line.

A mistake in what the user gave ends with one line on stderr and exit code 2, a failure of the
program with one line and exit code 1, Ctrl-C with 130 and another signal with 128 and its number;
a training that a signal stops says what it has saved, see :mod:`.signals`. The traceback of a
failure goes to the run's log file; ``--debug`` shows it at once, and what
:mod:`mmoverlock.compat.quiet` leaves out.
"""

import argparse
import contextlib
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mmoverlock import environment
from mmoverlock.utils.errors import one_line
from mmoverlock.utils.signals import Stopped

from .encoding import escape_output, use_utf8
from .options import ArgumentParser
from .signals import Ended, signals_end

ERROR_FILE = 'TORCHELASTIC_ERROR_FILE'  # torchrun's variable
USER_ERRORS = (ValueError, OSError)


def command(add_arguments: Callable[[ArgumentParser], None], description: str) -> Callable:
    """Decorate a command's ``main(args)``: it becomes ``main(argv=None, prog=None)``."""

    def decorate(main: Callable[[argparse.Namespace], Any]) -> Callable[..., Any]:
        @functools.wraps(main)
        def run(argv: Sequence[str] | None = None, prog: str | None = None) -> Any:
            if argv is None:
                use_utf8()
            escape_output()
            argv = sys.argv[1:] if argv is None else list(argv)
            quiet = '--debug' not in argv
            if environment.without_libraries():
                environment.set_quiet(quiet)  # for processes that this one starts
            else:
                from mmoverlock.compat.quiet import leave_out_known_messages

                leave_out_known_messages(quiet)
            parser = ArgumentParser(prog=prog, description=description)
            given = {}
            try:
                add_arguments(parser)
                args = parser.parse_args(argv)
                given = {k: v for k, v in vars(args).items() if v != parser.get_default(k)}
                with signals_end():
                    return main(args)
            except KeyboardInterrupt:
                _end(130)
            except (Ended, Stopped) as end:
                _end(end.code)
            except Exception as error:  # whatever fails, the user reads one line
                if '--debug' in argv:
                    traceback.print_exc()
                hint = _keep_traceback()
                message = in_flags(one_line(error), given)
                if isinstance(error, USER_ERRORS):
                    _fail(message, 2)
                _fail(f'{type(error).__name__}: {message} ({hint})', 1)

        return run

    return decorate


def in_flags(message: str, given: dict[str, object]) -> str:
    """Turn a message that begins with an argument's name into one about the user's option.

    ``device='tpu': ...`` becomes ``--device tpu: ...``, and ``resume: ...`` ``--resume: ...``, if
    that option was given.
    """
    for name, value in given.items():
        flag = '--' + name.replace('_', '-')
        if message.startswith(f'{name}: '):
            return message.replace(name, flag, 1)
        if message.startswith(f'{name}={value!r}'):
            option = flag if value is True else f'{flag} {value}'
            return message.replace(f'{name}={value!r}', option, 1)
    return message


def _fail(message: str, code: int) -> NoReturn:
    """Print the message; under torchrun hand it to the launcher, which prints one of all ranks'."""
    file = os.environ.get(ERROR_FILE)
    with contextlib.suppress(OSError):  # a full disk, a terminal that is closed
        if file:
            report = dict(message=message, timestamp=int(time.time()))
            Path(file).write_text(json.dumps(report), encoding='utf-8')
        else:
            sys.stderr.write(f'error: {message}\n')
    _end(code)


def _end(code: int) -> NoReturn:
    """Exit; under torchrun at once, because a process group in use may hang or abort the exit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if ERROR_FILE not in os.environ:
        sys.exit(code)
    os._exit(code)


def _keep_traceback() -> str:
    """Add the current traceback to the run's log file, if it has one; say where to find it."""
    log_file = None
    if not environment.missing():
        from mmengine.logging import MMLogger

        log_file = MMLogger.get_current_instance().log_file
    if log_file and Path(log_file).is_file():
        with contextlib.suppress(OSError):  # the disk may be what has failed
            with open(log_file, 'a', encoding='utf-8') as file:
                file.write(traceback.format_exc())
            return f'traceback in {log_file}'
    return 'run again with --debug for the traceback'
