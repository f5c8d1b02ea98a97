"""The decorator of all functions that numba compiles."""

import hashlib
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

from numba import njit
from numba.core.dispatcher import Dispatcher

OPS = Path(__file__).resolve().parents[1]
PROCESS = uuid.uuid4().hex  # of no other process


@cache
def fingerprint() -> str:
    """A hash of the source of all compiled functions."""
    digest = hashlib.sha256()
    for path in sorted([*OPS.glob('_numba/*.py'), *OPS.glob('*/numba_*.py')]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def jit(function: Callable) -> Dispatcher:
    """Compile a function on its first call, and keep the result on disk.

    numba compiles again when the function's own file changes. It does not see that a function of
    another file, which is compiled into this one, changes: hence the fingerprint. It writes its
    index before the file that the index names. There, another process could find what was compiled
    from older sources or for other types, so no two processes write files of one name.

    Sums may be reordered, as in any BLAS; NaN and infinity keep their meaning.

    Write loops, not assignments and expressions of whole arrays: of these numba also compiles the
    message for shapes that do not fit, text and all, which takes seconds.
    """
    fastmath = {'reassoc', 'contract'}
    compiled = njit(cache=True, nogil=True, error_model='numpy', fastmath=fastmath)(function)
    cache = compiled._cache._cache_file
    cache._source_stamp = fingerprint()
    cache._data_name_pattern = cache._data_name_pattern.replace('.nbc', f'.{PROCESS}.nbc')
    return compiled
