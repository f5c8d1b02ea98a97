"""The formula of branches in training, and arguments for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...testing import parameters


def make_arguments(
    branches: Sequence[tuple[int, int]], channels: int, dtype: torch.dtype, device: str = 'cpu'
) -> tuple[list[Tensor], list[int], list[Tensor], list[Tensor], float]:
    """Weights, dilations, gammas, betas and eps for branches (size, dilation)."""
    count = len(branches)
    sizes = [(channels, 1, size, size) for size, _ in branches]
    tensors = parameters(*sizes, *[(channels,)] * (2 * count), dtype=dtype)
    tensors = [x.detach().to(device).requires_grad_() for x in tensors]
    weights, gammas, betas = (tensors[i : i + count] for i in range(0, 3 * count, count))
    return weights, [dilation for _, dilation in branches], gammas, betas, 1e-5


def formula(x, weights, dilations, gammas, betas, eps):
    total = 0
    for weight, dilation, gamma, beta in zip(weights, dilations, gammas, betas, strict=True):
        padding = dilation * (weight.shape[-1] // 2)
        y = F.conv2d(x, weight, None, 1, padding, dilation, len(weight))
        total = total + F.batch_norm(y, None, None, gamma, beta, True, 0.0, eps)
    return total
