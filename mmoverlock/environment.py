"""Environment variables that mmoverlock reads; docs/reference/environment.md lists them."""

import os
import sys
from importlib.util import find_spec


def backend() -> str | None:
    """MMOVERLOCK_BACKEND: the backend of all operators that have it; None: chosen by device."""
    return os.environ.get('MMOVERLOCK_BACKEND') or None


def font() -> str | None:
    """MMOVERLOCK_FONT: a font file for names in pictures; None: those that are installed."""
    return os.environ.get('MMOVERLOCK_FONT') or None


def quiet() -> bool:
    """MMOVERLOCK_QUIET=1: known messages of imported packages are left out."""
    return os.environ.get('MMOVERLOCK_QUIET') == '1'


def set_quiet(quiet: bool) -> None:
    """Set MMOVERLOCK_QUIET for this process and its workers."""
    os.environ['MMOVERLOCK_QUIET'] = str(int(quiet))


def triton_interpreted() -> bool:
    """TRITON_INTERPRET=1, Triton's own: kernels run in its interpreter, on the CPU."""
    return os.environ.get('TRITON_INTERPRET') == '1'


def limit_spinning() -> None:
    """Set GOMP_SPINCOUNT=1000, unless PyTorch is loaded or the user decides how threads wait.

    Threads of PyTorch's OpenMP library (libgomp) that wait for the others of their team keep their
    cores busy. Where another process wants these cores, that slows a network 20 times.
    """
    decided = {'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'} & os.environ.keys()
    if 'torch' not in sys.modules and not decided:
        os.environ['GOMP_SPINCOUNT'] = '1000'


def missing() -> list[str]:
    """Which of PyTorch, MMEngine and mmcv are not installed; all but exported models needs them."""
    return [name for name in ('torch', 'mmengine', 'mmcv') if find_spec(name) is None]
