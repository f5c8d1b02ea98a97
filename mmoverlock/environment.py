"""Environment variables that mmoverlock reads; docs/reference/environment.md lists them."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path


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


def forbid_telemetry() -> None:
    """Set GRADIO_ANALYTICS_ENABLED=False: gradio reports nothing and asks for no newer version."""
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'


def weights() -> str | None:
    """MMOVERLOCK_WEIGHTS: a folder of weights, looked into before any are downloaded."""
    return os.environ.get('MMOVERLOCK_WEIGHTS') or None


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


def without_libraries() -> bool:
    """Whether this process does without the OpenMMLab libraries.

    They or PyTorch are missing, or may be, as for the doctor; or only the processes that this one
    starts need them, as for the launcher.
    """
    return bool(missing()) or doctor_runs() or launcher_runs()


def doctor_runs() -> bool:
    """Whether this process is ``mmoverlock doctor`` or ``tools/doctor.py``, by its command line."""
    program, *arguments = getattr(sys, 'argv', None) or ['']
    place, package = Path(program), Path(__file__).resolve().parent
    if place.stem == 'mmoverlock':
        return arguments[:1] == ['doctor']
    tools = (package.parent / 'tools', (package / '.mim' / 'tools').resolve())
    return place.stem == 'doctor' and place.resolve().parent in tools


def launcher_runs() -> bool:
    """Whether this process is ``python -m mmoverlock.cli.launch``."""
    asked = ('-m', 'mmoverlock.cli.launch') in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    return asked and Path(sys.argv[0]).name in ('-m', 'launch.py')  # '-m' until that is found


def missing() -> list[str]:
    """Which of PyTorch, MMEngine and mmcv are not installed; all but exported models needs them."""
    return [name for name in ('torch', 'mmengine', 'mmcv') if find_spec(name) is None]
