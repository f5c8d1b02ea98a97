"""GRN in inference on the CPU, by loops that numba compiles on first use."""

import torch
from torch import Tensor

from mmoverlock.ops._numba.tensors import array, flat, overwritten

from . import numba_kernels


def grn(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, inplace: bool) -> Tensor:
    """See :func:`mmoverlock.ops.grn`."""
    batch, channels, height, width = x.shape
    out = x if inplace else torch.empty_like(x)
    gamma, beta = (
        t.to(x.dtype).expand(1, channels, 1, 1).flatten().contiguous() for t in (gamma, beta)
    )
    numba_kernels.grn(
        torch.get_num_threads(),
        flat(x),
        array(gamma),
        array(beta),
        eps,
        flat(out),
        batch,
        height * width,
    )
    return overwritten(out)
