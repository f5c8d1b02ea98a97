"""Depthwise convolution with large kernels, by the implementation that is fastest here.

No implementation is fastest everywhere: on the CPU, oneDNN is good at small kernels and, with
channels innermost, at large ones in the forward pass; backward the loops here are faster
(docs/benchmarks.md). So the fastest is measured, for each direction, on the first input of a kind.

An implementation is a module with `unavailable(device)`, which says why it cannot run there, or
None, with `forward` and with `backward`.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from mmoverlock.ops.choice import fastest
from mmoverlock.ops.operator import ordinary
from mmoverlock.ops.plain import plain

from . import numba_cpu, torch_conv, triton_gpu

__all__ = ['DepthwiseConv2d', 'depthwise_conv2d']

# In the order of preference, where nothing may be measured.
IMPLEMENTATIONS: dict[str, ModuleType] = {
    'numba': numba_cpu,
    'torch': torch_conv,
    'triton': triton_gpu,
}


def _run(
    direction: str, name: str, x: Tensor, weight: Tensor, *args: Tensor | int | None
) -> Tensor | tuple[Tensor, Tensor]:
    """Run `direction` by the implementation called `name`, or else by the fastest for such inputs.

    Alike are inputs whose numbers of pixels have the same power of two, the rest being equal.
    """
    runs = {
        other: partial(getattr(module, direction), *args)
        for other, module in IMPLEMENTATIONS.items()
        if module.unavailable(x.device) is None
    }
    kind = (
        direction,
        x.device,
        x.dtype,
        x.stride(1) == 1,
        tuple(weight.shape),
        args[-1],
        (x.numel() // len(weight)).bit_length(),
        torch.get_num_threads(),
    )
    return runs[name or fastest(kind, runs, x.device)]()


@torch.library.custom_op('mmoverlock::depthwise_conv2d', mutates_args=())
def _op(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, name: str) -> Tensor:
    return _run('forward', name, x, weight, x, weight, bias, dilation)


@_op.register_fake
def _(x, weight, bias, dilation, name):
    return torch.empty_like(x)


@torch.library.custom_op('mmoverlock::depthwise_conv2d_backward', mutates_args=())
def _backward_op(
    grad_out: Tensor, x: Tensor, weight: Tensor, dilation: int, name: str
) -> tuple[Tensor, Tensor]:
    return _run('backward', name, x, weight, grad_out, x, weight, dilation)


@_backward_op.register_fake
def _(grad_out, x, weight, dilation, name):
    return torch.empty_like(x), torch.empty_like(weight)


def _setup_context(ctx, inputs, output):
    x, weight, bias, ctx.dilation, ctx.implementation = inputs
    ctx.with_bias = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx, grad_out):
    grads = _backward_op(grad_out, *ctx.saved_tensors, ctx.dilation, ctx.implementation)
    grad_bias = grad_out.sum((0, 2, 3)) if ctx.with_bias else None
    return *grads, grad_bias, None, None


_op.register_autograd(_backward, setup_context=_setup_context)


def check_implementation(name: str, device: torch.device) -> None:
    """Raise a ValueError if there is no such implementation, or none on this device."""
    if name not in IMPLEMENTATIONS:
        raise ValueError(f"unknown implementation '{name}': allowed are {sorted(IMPLEMENTATIONS)}")
    reason = IMPLEMENTATIONS[name].unavailable(device)
    if reason:
        raise ValueError(f"implementation '{name}' cannot run here: {reason}")


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    dilation: int = 1,
    implementation: str | None = None,
) -> Tensor:
    """Depthwise convolution with stride 1 and "same" zero padding.

    Args:
        x: (B, C, H, W), contiguous or channels_last; the result has the same layout.
        weight: (C, 1, K, K), K odd.
        bias: (C).
        dilation: Distance of neighbouring taps.
        implementation: 'numba', 'torch' or 'triton'; None measures which is fastest.

    Returns:
        (B, C, H, W). Differentiable in x, weight and bias.

    Raises:
        ValueError: if the shapes do not fit, or the implementation cannot run.
    """
    size = weight.shape[-1]
    if x.ndim != 4 or weight.shape != (x.shape[1], 1, size, size) or size % 2 == 0:
        raise ValueError(
            f'x {tuple(x.shape)}, weight {tuple(weight.shape)}: (B, C, H, W) and (C, 1, K, K) with '
            'an odd K are needed'
        )
    if implementation is not None:
        check_implementation(implementation, x.device)
    elif plain() or not x.numel():
        return torch_conv.forward(x, weight, bias, dilation)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if ordinary(x) and not torch.is_grad_enabled():
        return _run('forward', implementation or '', x, weight, x, weight, bias, dilation)
    return _op(x, weight, bias, dilation, implementation or '')


class DepthwiseConv2d(nn.Conv2d):
    """:func:`depthwise_conv2d` as a module, with the parameters of PyTorch's."""

    def __init__(self, dim: int, kernel_size: int, dilation: int = 1, bias: bool = True):
        padding = dilation * (kernel_size // 2)
        super().__init__(dim, dim, kernel_size, 1, padding, dilation, dim, bias)

    def forward(self, x: Tensor) -> Tensor:
        if plain():
            return super().forward(x)
        return depthwise_conv2d(x, self.weight, self.bias, self.dilation[0])
