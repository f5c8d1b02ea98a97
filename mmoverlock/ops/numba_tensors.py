"""Tensors as the flat arrays that the numba kernels take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .operator import ordinary


def flat(tensor: Tensor) -> np.ndarray:
    """The memory of a CPU tensor, from its first element to its last, as a (N,) array.

    The element at index (i, j, ...) is at i · stride(0) + j · stride(1) + ...
    """
    reach = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.detach().as_strided((reach + 1,), (1,)).numpy()


def dense(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if its elements overlap or leave gaps: `empty_like` has its strides."""
    usual = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
    if usual or torch.empty_like(tensor, device='meta').stride() == tensor.stride():
        return tensor
    return tensor.contiguous()


def array(tensor: Tensor) -> np.ndarray:
    """The tensor, of a CPU, as an array that shares its memory."""
    return tensor.detach().numpy()


def looped(*maps: Tensor) -> bool:
    """Whether the loops over channels_last maps take such maps, (B, C, H, W)."""
    return ordinary(*maps) and all(
        t.device.type == 'cpu'
        and t.dtype in (torch.float32, torch.float64)
        and t.is_contiguous(memory_format=torch.channels_last)
        and t.numel() > 0
        for t in maps
    )


def overwritten(tensor: Tensor) -> Tensor:
    """The tensor, which loops wrote to: autograd then refuses to use what it kept of it."""
    torch.autograd.graph.increment_version(tensor)
    return tensor
