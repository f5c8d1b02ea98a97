"""Squeeze-and-excitation in inference on the CPU, written over its input."""

import torch
from torch import Tensor, nn

from mmoverlock.ops._numba.tensors import array, flat, overwritten

from . import numba_kernels


def squeeze_excite(
    x: Tensor,
    pool: nn.Module,
    reduce: nn.Conv2d,
    act: nn.Module,
    expand: nn.Conv2d,
    gate: nn.Module,
) -> Tensor:
    """See :func:`mmoverlock.ops.squeeze_excite`; x is written over."""
    numba_kernels.squeeze_excite(
        torch.get_num_threads(),
        flat(x),
        array(reduce.weight.flatten(1)),
        array(reduce.bias),
        array(expand.weight.flatten(1)),
        array(expand.bias),
        len(x),
        x.shape[2] * x.shape[3],
    )
    return overwritten(x)
