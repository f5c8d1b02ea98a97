"""A hook that keeps a run going when its logs cannot be written."""

import functools
import logging
import sys
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class OutputGuard(Hook):
    """Warns, once each, of logs that cannot be written: a checkpoint is worth more than they.

    That covers the log file and what the visualizer writes (``scalars.json``, TensorBoard, ...).
    """

    priority = 'HIGHEST'  # before anything is logged

    def before_run(self, runner: Runner) -> None:
        for handler in runner.logger.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = functools.partial(_report_once, handler, set())
        backends = runner.visualizer._vis_backends
        for name, backend in backends.items():
            if not isinstance(backend, _Guarded):
                backends[name] = _Guarded(backend)


class _Guarded:
    """A visualization backend whose methods only warn of what they cannot write."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._warned = False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._backend, name)
        if not callable(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return value(*args, **kwargs)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    kind = type(self._backend).__name__
                    print_log(
                        f'{kind} cannot write, the run goes on without it: {error}',
                        logger='current',
                        level=logging.WARNING,
                    )

        return call


def _report_once(handler: logging.FileHandler, reported: set, record: logging.LogRecord) -> None:
    if not reported:
        reported.add(True)
        error = sys.exc_info()[1]
        name = handler.baseFilename
        sys.stderr.write(f"warning: log file '{name}' cannot be written: {error}\n")
