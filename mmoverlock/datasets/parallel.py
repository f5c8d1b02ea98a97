"""Do the same to many files, in as many processes as cores."""

import os
from collections.abc import Callable, Sequence
from multiprocessing import Pool
from typing import Any

from rich.progress import track

_FEW = 64  # take less time than starting the processes
_MANY = 2000  # show a progress bar
_CHUNK = 16


def in_parallel(function: Callable[[Any], Any], items: Sequence[Any], title: str) -> list[Any]:
    """``[function(item) for item in items]``; if there are thousands, with a progress bar.

    Args:
        function: Of a module, not a lambda, and with results that can be pickled.
        items: Can be pickled as well.
        title: Of the progress bar.
    """
    if len(items) < _FEW:
        return [function(item) for item in items]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    with Pool(cores or 1) as pool:
        results = pool.imap(function, items, chunksize=_CHUNK)
        return list(track(results, title, total=len(items), disable=len(items) < _MANY))
