"""Depthwise convolution by PyTorch: oneDNN on the CPU, cuDNN or its own kernels on a GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """See :func:`mmoverlock.ops.depthwise_conv2d`."""
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, bias, 1, padding, dilation, len(weight))


def backward(grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Gradients of x and weight."""
    padding = dilation * (weight.shape[-1] // 2)
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad_out,
        x,
        weight,
        None,
        [1, 1],
        [padding, padding],
        [dilation, dilation],
        False,
        [0, 0],
        len(weight),
        [True, True, False],
    )
    return grad_x, grad_weight
