"""The signals that end a run, and how it ends."""

import functools
import os
import signal

SAVED = 75  # EX_TEMPFAIL of sysexits.h: saved, start again to go on

# What schedulers, a terminal that is closed, and limits of CPU time send to end a run.
NAMES = ('SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGXCPU', 'SIGINT')
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]  # few on Windows
AT_ONCE = (signal.SIGTERM, signal.SIGINT)  # when they come a second time


@functools.cache
def end_forks_by_sigterm() -> None:
    """Give processes that are forked from now on Python's own handlers of SIGTERM and its like.

    multiprocessing's pools, such as that of mmdet's VOCMetric, end their workers by SIGTERM and
    wait for them: with a handler that only takes notice, they would wait for ever.
    """
    if not hasattr(os, 'register_at_fork'):  # Windows forks nothing
        return
    ours = {*SIGNALS} - {signal.SIGINT}
    blocked_before = []

    def block() -> None:  # a signal that arrives while the child still has our handler waits
        blocked_before[:] = [signal.pthread_sigmask(signal.SIG_BLOCK, ours)]

    def restore() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, *blocked_before)

    def reset() -> None:
        for number in ours:
            if getattr(signal.getsignal(number), '__module__', '').startswith('mmoverlock.'):
                signal.signal(number, signal.SIG_DFL)
        restore()

    os.register_at_fork(before=block, after_in_parent=restore, after_in_child=reset)


class Stopped(SystemExit):
    """Training was stopped by a signal, and saved.

    Its exit code is 130 after Ctrl-C, and else `SAVED`, on which a scheduler may start it again.

    Attributes:
        signal: Which signal.
        step: After how many steps.
        path: The checkpoint.
    """

    def __init__(self, number: int, step: int, path: str) -> None:
        self.signal, self.step, self.path = signal.Signals(number), step, path
        super().__init__(130 if number == signal.SIGINT else SAVED)
