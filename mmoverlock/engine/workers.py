"""Worker processes leave signals to the process that they work for, which may end them."""

import os
import signal
import threading
from collections.abc import Callable

from torch.utils.data import DataLoader

from mmoverlock.utils.signals import SIGNALS


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
