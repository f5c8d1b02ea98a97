"""Precision and gradients, shared by the stand-ins of mmcv's operators."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """Half precision, which torchvision's kernels lack or round too much, becomes float32."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def fill_gradients(
    targets: Sequence[Tensor], function: Callable, inputs: Sequence[Tensor], grad_output: Tensor
) -> None:
    """Fill targets with the gradients of ``sum(function(*inputs) * grad_output)`` by each input.

    A result that depends on no input, as of no regions, has gradients of zero.
    """
    with torch.enable_grad():
        leaves = [full(x).detach().requires_grad_() for x in inputs]
        output = function(*leaves)
    if output.requires_grad:
        grads = torch.autograd.grad(output, leaves, full(grad_output))
    else:
        grads = [torch.zeros_like(x) for x in targets]
    for target, grad in zip(targets, grads, strict=True):
        target.copy_(grad)
