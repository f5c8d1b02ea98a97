"""Residual convolution in inference on the CPU, written over its input."""

from torch import Tensor

from mmoverlock.ops._numba.simd import VECTOR_BYTES
from mmoverlock.ops._numba.tensors import (
    STRIP_BYTES,
    dense,
    overwritten,
    run,
    vectors_and_strips,
)

from . import numba_kernels


def residual_conv(x: Tensor, weight: Tensor, bias: Tensor, inplace: bool) -> Tensor:
    """See :func:`mmoverlock.ops.residual_conv`; x is written over in any case."""
    x = dense(x)
    size = weight.shape[-1]
    rows = max(STRIP_BYTES // (x.shape[3] * VECTOR_BYTES), 1)
    sizes = *x.shape, size, min(rows, x.shape[2])
    given = x, weight.flatten(1), bias[:, None]
    run(numba_kernels.overwrite, vectors_and_strips(x)[0], *given, sizes)
    return overwritten(x)
