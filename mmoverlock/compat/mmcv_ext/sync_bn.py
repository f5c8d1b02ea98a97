"""The local steps of MMSyncBN; mmcv itself sums the statistics over the processes.

``input``, ``norm``, ``output`` and the gradients are (B, C, pixels), the rest (C,), float32.
"""

from torch import Tensor

from .numerics import full


def sync_bn_forward_mean(input: Tensor, mean: Tensor) -> None:
    """Fills ``mean`` with that of this process."""
    mean.copy_(full(input).mean((0, 2)))


def sync_bn_forward_var(input: Tensor, mean: Tensor, var: Tensor) -> None:
    """Fills ``var`` with the mean square distance from ``mean``, that of all processes."""
    var.copy_((full(input) - mean[:, None]).square().mean((0, 2)))


def sync_bn_forward_output(
    input: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    norm: Tensor,
    std: Tensor,
    output: Tensor,
    eps: float,
    momentum: float | Tensor,
    group_size: int,
) -> None:
    """Fills ``norm``, the normalized input, ``std`` and ``output``; updates running statistics."""
    std.copy_((var + eps).sqrt())
    norm.copy_((full(input) - mean[:, None]) / std[:, None])
    output.copy_(norm if weight is None else norm * weight[:, None] + bias[:, None])
    if running_mean is not None:
        count = input[:, 0].numel() * group_size
        unbiased = var * (count / max(count - 1, 1))
        for running, new in ((running_mean, mean), (running_var, unbiased)):
            running.copy_(momentum * new + (1 - momentum) * running)


def sync_bn_backward_param(
    grad_output: Tensor, norm: Tensor, grad_weight: Tensor, grad_bias: Tensor
) -> None:
    """Fills the sums of this process."""
    grad_weight.copy_((full(grad_output) * norm).sum((0, 2)))
    grad_bias.copy_(full(grad_output).sum((0, 2)))


def sync_bn_backward_data(
    grad_output: Tensor,
    weight: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    norm: Tensor,
    std: Tensor,
    grad_input: Tensor,
) -> None:
    """Fills ``grad_input``; the gradients of weight and bias are means over the processes."""
    pixels = norm[:, 0].numel()
    shared = (grad_weight[:, None] * norm + grad_bias[:, None]) / pixels
    grad_input.copy_((full(grad_output) - shared) * (weight / std)[:, None])
