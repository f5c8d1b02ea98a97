"""What our loops for the CPU need of numba. Nothing else imports numba or llvmlite.

This module imports neither, so that it can say why the `numba` backends cannot run. The others are
imported when a kernel first runs.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

# From the first version to before the second. The kernels use LLVM and numba's internals.
TESTED = '0.68', '0.69'


@torch.compiler.assume_constant_result
def missing() -> str | None:
    """Why numba cannot be used here, or None."""
    return _missing()


@cache
def _missing() -> str | None:
    low, high = TESTED
    wanted = f'pip install "numba>={low},<{high}"'
    try:
        installed = version('numba')
    except PackageNotFoundError:
        return f'numba is not installed: {wanted}'
    if not _release(low) <= _release(installed) < _release(high):
        return f'numba {installed} is installed, which these kernels are not tested with: {wanted}'
    try:
        import numba  # noqa: F401
    except ImportError as error:
        return f'numba cannot be imported ({error}): {wanted}'
    return None


def _release(text: str) -> tuple[int, int]:
    major, minor, *_ = text.split('.')
    return int(major), int(minor)


def unavailable(device: torch.device) -> str | None:
    """Why the `numba` backends cannot run on a device, or None."""
    return missing() if device.type == 'cpu' else f'numba runs on the CPU, not on {device.type}'


def unsupported(x: Tensor) -> str | None:
    """Why fused loops do not take a map, or None: they compute in its own dtype."""
    if x.dtype not in (torch.float32, torch.float64):
        return f'{x.dtype} maps: float32 or float64 is needed'
    if torch.is_autocast_enabled('cpu'):
        return 'mixed precision: only float32 or float64 is supported'
    if not x.numel():
        return 'the map is empty'
    return None
