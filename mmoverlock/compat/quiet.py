"""Messages of imported packages that tell a user nothing, left out by the command-line tools.

Each is known by its text, and warnings by the module that they come from too; nothing else is
touched. ``--debug`` shows them all. The tools set MMOVERLOCK_QUIET=1, which worker processes
inherit; anyone may set it.
"""

import functools
import logging
import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import mmengine.logging
from mmengine.logging import MMLogger

from mmoverlock import environment

# By mmengine's `print_log` and by its loggers.
LOGGED = re.compile(
    '|'.join(
        [
            r'Could not import OneDL(\. Skipping OneDL datasets\.)?$',  # a private data store
            r'The prefix is not set in metric class \w+\.$',  # which the class need not
            r'"FileClient" will be deprecated in future\.',  # mmengine calls its own
            r'"HardDiskBackend" is the alias of "LocalBackend"',
            r'`save_param_scheduler` is True but `self.param_schedulers` is None',  # no schedule
        ]
    )
)

# Modules, and the beginnings of what they warn of.
WARNED = (
    # An optional package; the metrics that need it say so when they are used.
    (r'mmdet\.evaluation\.metrics\.faster_coco_metric', 'faster_coco_eval is not installed'),
    # On a default that all of mmseg's configs use.
    (r'mmseg\.models\.losses\.cross_entropy_loss', 'Default ``avg_non_ignore`` is False'),
    # Of boxes that are drawn to the edge.
    (r'mmengine\.visualization\.visualizer', r'Warning: The (bbox|polygon|text) is out of bounds'),
    # What test-time augmentation of mmseg does.
    (r'mmengine\.structures\.pixel_data', r'The shape of value will convert from torch\.Size'),
    # Calls between NumPy, pycocotools and mmdet.
    (r'mmdet\.structures\.mask\.utils', r'__array__ implementation doesn.t accept a copy keyword'),
    (r'pycocotools\.mask', r'__array__ implementation doesn.t accept a copy keyword'),
    (r'mmengine\.utils\.package_utils', 'pkg_resources is deprecated'),
)

# By pycocotools' `print`.
PRINTED = re.compile(
    r'loading annotations into memory|creating index|index created|Loading and preparing results'
    r'|Done \(t=|DONE \(t='
)


def leave_out_known_messages(quiet: bool) -> None:
    """Leave these messages out from now on, or no longer.

    So are the tracebacks of log lines that cannot be written, to a full disk or a closed terminal.
    """
    environment.set_quiet(quiet)
    logging.raiseExceptions = not quiet
    if quiet:
        install()
    else:
        for module, message in WARNED:
            warnings.filterwarnings('default', message, module=module)


def install() -> None:
    """Leave these messages out while MMOVERLOCK_QUIET is 1; a second call changes nothing more."""
    for module, message in WARNED:
        warnings.filterwarnings('ignore', message, module=module)
    if not hasattr(MMLogger.handle, 'quiet'):
        MMLogger.handle = _quiet_handle(MMLogger.handle)
        mmengine.logging.print_log = _quiet_print(mmengine.logging.print_log, LOGGED)
    if find_spec('pycocotools'):
        import pycocotools.coco

        if 'print' not in vars(pycocotools.coco):
            pycocotools.coco.print = _quiet_print(print, PRINTED)


def _quiet_print(show: Callable[..., None], known: re.Pattern[str]) -> Callable[..., None]:
    @functools.wraps(show)
    def quiet(*arguments: Any, **options: Any) -> None:
        if not (
            environment.quiet()
            and arguments
            and isinstance(arguments[0], str)
            and known.match(arguments[0])
        ):
            show(*arguments, **options)

    return quiet


def _quiet_handle(handle: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(handle)
    def quiet(self: MMLogger, record: Any) -> None:
        if not (environment.quiet() and LOGGED.match(str(record.msg))):
            handle(self, record)

    quiet.quiet = True
    return quiet
