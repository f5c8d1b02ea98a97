"""What signals do to a command: it ends without a traceback, and a training says where to go on."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from mmengine.dist import get_world_size, is_main_process

from mmoverlock.engine.distributed import under_torchrun
from mmoverlock.engine.hooks.preemption import Stopped
from mmoverlock.engine.workers import SIGNALS, end_forks_by_sigterm


class Ended(BaseException):
    """A signal came when there was nothing to save; `code` is 128 and its number."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number


@contextlib.contextmanager
def signals_end() -> Iterator[None]:
    """Have the signals that end a run raise :class:`Ended`, and Ctrl-C KeyboardInterrupt.

    So what a command has begun is undone. Signals that are handled or ignored already are left so.
    """
    before = {}

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    end_forks_by_sigterm()
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            if before[number] is signal.SIG_DFL:
                interrupt = signal.default_int_handler
                signal.signal(number, interrupt if number == signal.SIGINT else end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # not set from Python
                signal.signal(number, handler)


@contextlib.contextmanager
def says_where_it_stopped() -> Iterator[None]:
    """Say on stderr, in one process, which signal stopped a training and what it has saved."""
    try:
        yield
    except Stopped as stop:
        if is_main_process():
            with contextlib.suppress(OSError):  # the terminal is closed
                sys.stdout.flush()
                sys.stderr.write(
                    f"stopped by {stop.signal.name} after step {stop.step}, saved '{stop.path}': "
                    f'go on with --resume (exit code {stop.code})\n'
                )
                sys.stderr.flush()
        if get_world_size() > 1 and not under_torchrun():
            _leave_srun(stop.code)
        raise


def _leave_srun(code: int) -> NoReturn:
    """Leave a group of processes, all but the first with 0: srun kills the rest at any other code.

    Without a launcher of ours, nobody else adds up the codes.
    """
    if is_main_process():
        time.sleep(1)
    os._exit(code if is_main_process() else 0)
