"""What signals do to a command: it ends without a traceback."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from mmoverlock.utils.signals import SIGNALS, end_forks_by_sigterm


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
