"""Tensors as the flat arrays that the numba kernels take."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .simd import VECTOR_BYTES


def flat(tensor: Tensor) -> np.ndarray:
    """The memory of a CPU tensor, from its first element to its last, as a (N,) array.

    The element at index (i, j, ...) is at i · stride(0) + j · stride(1) + ...
    """
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.detach().as_strided((reach + 1,), (1,)).numpy()


def dense(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if its elements overlap or leave gaps: `empty_like` has its strides."""
    same = torch.empty_like(tensor, device='meta').stride() == tensor.stride()
    return tensor if same else tensor.contiguous()


def in_vectors(numbers: Tensor) -> Tensor:
    """Numbers of channels, (..., N, C), as (..., vectors of channels, N, lanes), contiguous.

    The last vector is filled up with zeros.
    """
    lanes = VECTOR_BYTES // numbers.dtype.itemsize
    padded = F.pad(numbers, (0, -numbers.shape[-1] % lanes))
    return padded.unflatten(-1, (-1, lanes)).transpose(-3, -2).contiguous()


def of_channels(vectors: Tensor, channels: int) -> Tensor:
    """What :func:`in_vectors` was given, for C channels."""
    return vectors.transpose(-3, -2).flatten(-2)[..., :channels]
