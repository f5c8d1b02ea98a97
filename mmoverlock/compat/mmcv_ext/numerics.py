"""Precision and gradients, shared by the stand-ins of mmcv's operators."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """Half precision, which torchvision's kernels lack or round too much, becomes float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def gradients(function: Callable, inputs: Sequence[Tensor], grad_output: Tensor):
    """Gradients of ``sum(function(*inputs) * grad_output)`` with respect to every input."""
    with torch.enable_grad():
        leaves = [full(x).detach().requires_grad_() for x in inputs]
        return torch.autograd.grad(function(*leaves), leaves, full(grad_output))
