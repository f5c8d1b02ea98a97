"""What every numba kernel needs: tensors as flat arrays, and as many threads as torch uses."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor


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


def follow_torch_threads() -> int:
    """Use as many threads as torch, and say how many.

    numba may reset torch's count when it starts its own threads: they share OpenMP.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return threads
