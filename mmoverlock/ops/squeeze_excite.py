"""Squeeze-and-excitation (arXiv 1709.01507) in inference on the CPU, as one operator.

Its layers are small: PyTorch takes longer to call them than they compute.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import numba_channels
from .numba_tensors import array, flat, overwritten


def squeeze_excite_(
    x: Tensor, reduce: Tensor, reduce_bias: Tensor, expand: Tensor, expand_bias: Tensor
) -> Tensor:
    """x · sigmoid(conv(gelu(conv(mean of x)))), written over x; without gradients.

    Args:
        x: (B, C, H, W), which :func:`.numba_tensors.looped` takes.
        reduce: (hidden, C, 1, 1).
        reduce_bias: (hidden).
        expand: (C, hidden, 1, 1).
        expand_bias: (C).

    Returns:
        x.

    Raises:
        ValueError: if the weights are not of x's channels, or of another dtype.
    """
    batch, channels, height, width = x.shape
    if not reduce.shape[1] == channels == len(expand) or reduce.dtype != x.dtype:
        raise ValueError(
            f'{x.dtype} map of {channels} channels, {reduce.dtype} weights '
            f'{tuple(reduce.shape)} and {tuple(expand.shape)}: they must match'
        )
    numba_channels.squeeze_excite(
        torch.get_num_threads(),
        flat(x),
        array(reduce.flatten(1)),
        array(reduce_bias),
        array(expand.flatten(1)),
        array(expand_bias),
        batch,
        height * width,
    )
    return overwritten(x)
