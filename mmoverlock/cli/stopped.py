"""What a training that a signal has stopped says, and how its processes leave."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from mmengine.dist import get_world_size, is_main_process

from mmoverlock.engine.distributed import under_torchrun
from mmoverlock.utils.signals import Stopped


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
