"""Worker processes leave signals to the process that they work for, which may end them."""

import functools
import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader

# What schedulers, a terminal that is closed, and limits of CPU time send to end a run.
NAMES = ('SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGHUP', 'SIGXCPU', 'SIGINT')
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]  # few on Windows


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


def shield_workers(dataloader: DataLoader) -> None:
    """Have the workers of a data loader that start from now on outlive what ends their parent.

    Ctrl-C reaches all processes of a terminal, and schedulers and torchrun signal whole groups. A
    worker that ended then would end the training before it is saved.
    """
    if dataloader.num_workers and not isinstance(dataloader.worker_init_fn, _Shield):
        dataloader.worker_init_fn = _Shield(dataloader.worker_init_fn)


class _Shield:
    """A `worker_init_fn` that lets only the parent end the worker."""

    def __init__(self, then: Callable[[int], None] | None) -> None:
        self.then = then

    def __call__(self, worker: int) -> None:
        for number in {*SIGNALS} - {signal.SIGTERM}:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, 'sigwaitinfo'):  # Linux; only here the sender of a signal is known
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()
        if self.then is not None:
            self.then(worker)


def _obey(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid not in (parent, os.getpid()):
        pass
    os._exit(0)
