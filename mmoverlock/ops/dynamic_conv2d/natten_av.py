"""Dynamic convolution by NATTEN's `na2d_av`, where a NATTEN that has it (< 0.20) is installed."""

from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor


def unavailable(device: torch.device) -> str | None:
    """Needs the package, in a version that has the operator."""
    if find_spec('natten') is None:
        return 'natten is not installed'
    if not hasattr(import_module('natten.functional'), 'na2d_av'):
        return 'this natten has no na2d_av, which was removed in 0.20'
    return None


def dynamic_conv2d(kernels: Tensor, value: Tensor) -> Tensor:
    """See :func:`mmoverlock.ops.dynamic_conv2d`."""
    kernel_size = round(kernels.shape[-1] ** 0.5)
    na2d_av = import_module('natten.functional').na2d_av
    return na2d_av(kernels.to(value.dtype).contiguous(), value.contiguous(), kernel_size)
