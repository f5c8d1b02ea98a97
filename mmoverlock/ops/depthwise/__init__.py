"""Depthwise convolution with large kernels, by the backend that is fastest here.

    out[b, c, i, j] = bias[c] + Σ_{p, q} weight[c, p, q] · x[b, c, i + d·p', j + d·q']

with p' = p - K//2, q' = q - K//2, dilation d, and zeros outside the map.

No backend is fastest everywhere: on the CPU, oneDNN is good at small kernels and, with channels
innermost, at large ones in the forward pass; the loops here are faster in the backward pass
(docs/benchmarks/results.md). So the fastest is measured, for each direction, on the first input of
a kind.

Removing it makes OverLoCK-T 4% slower at 224×224 and 10% at 800×1344 (docs/benchmarks/results.md).
"""

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from mmoverlock.ops import _numba, _triton
from mmoverlock.ops.autograd import differentiable, is_eager
from mmoverlock.ops.dispatch import Backend, Operator

from . import reference

__all__ = ['DepthwiseConv2d', 'depthwise_conv2d']


def _not_empty(x: Tensor, *args: object) -> str | None:
    return None if x.numel() else 'the map is empty'


def _numba_forward(*args: Tensor | int | None) -> Tensor:
    from . import numba_cpu

    return numba_cpu.forward(*args)


def _numba_backward(*args: Tensor | int) -> tuple[Tensor, Tensor]:
    from . import numba_cpu

    return numba_cpu.backward(*args)


def _triton_forward(*args: Tensor | int | None) -> Tensor:
    from . import triton_gpu

    return triton_gpu.forward(*args)


def _triton_backward(*args: Tensor | int) -> tuple[Tensor, Tensor]:
    from . import triton_gpu

    return triton_gpu.backward(*args)


FORWARD = Operator(
    'depthwise_conv2d',
    Backend('numba', _numba_forward, _numba.unavailable, _not_empty),
    Backend('triton', _triton_forward, _triton.unavailable, _not_empty, _triton.interpreted),
    Backend('reference', reference.forward),
)
BACKWARD = Operator(
    'depthwise_conv2d_backward',
    Backend('numba', _numba_backward, _numba.unavailable, _not_empty),
    Backend('triton', _triton_backward, _triton.unavailable, _not_empty, _triton.interpreted),
    Backend('reference', reference.backward),
)


def _kind(x: Tensor, weight: Tensor, dilation: int) -> Hashable:
    """Alike are inputs whose numbers of pixels have the same power of two, the rest being equal."""
    pixels = (x.numel() // len(weight)).bit_length()
    last = x.stride(1) == 1
    return x.dtype, last, tuple(weight.shape), dilation, pixels, torch.get_num_threads()


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, backend: str) -> Tensor:
    kind = _kind(x, weight, dilation)
    return FORWARD(x, weight, bias, dilation, device=x.device, backend=backend or None, kind=kind)


def _backward(
    grad_out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    kind = _kind(x, weight, dilation)
    grads = BACKWARD(
        grad_out, x, weight, dilation, device=x.device, backend=backend or None, kind=kind
    )
    grad_bias = weight.new_empty(0) if bias is None else grad_out.sum((0, 2, 3))
    return *grads, grad_bias


def _formula(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, _: str) -> Tensor:
    return reference.forward(x, weight, bias, dilation)


_op = differentiable(
    'depthwise_conv2d', _forward, _backward, lambda x, *others: torch.empty_like(x), _formula
)


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    dilation: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Depthwise convolution with stride 1 and "same" zero padding.

    Args:
        x: (B, C, H, W), contiguous or channels_last; the result has the same layout.
        weight: (C, 1, K, K), K odd.
        bias: (C).
        dilation: Distance d of neighbouring taps.
        backend: 'reference' (PyTorch's convolution), 'numba' or 'triton'; None takes the fastest,
            as measured.

    Returns:
        (B, C, H, W). Differentiable in x, weight and bias.

    Raises:
        ValueError: if the shapes do not fit, or the backend cannot run.
    """
    size = weight.shape[-1]
    if x.ndim != 4 or weight.shape != (x.shape[1], 1, size, size) or size % 2 == 0:
        raise ValueError(
            f'x {tuple(x.shape)}, weight {tuple(weight.shape)}: (B, C, H, W) and (C, 1, K, K) with '
            'an odd K are needed'
        )
    args = x, weight, bias, dilation
    able = FORWARD.able(args, x.device, backend)
    if able == ['reference']:  # as it is differentiable by itself
        return FORWARD(*args, device=x.device, backend=backend)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if is_eager(x) and not torch.is_grad_enabled():
        return _forward(x, weight, bias, dilation, backend or '')
    if type(x) is not Tensor:  # a fake one: nothing will run, but `explain` wants to know
        FORWARD.select((x, weight, bias, dilation), x.device, backend)
    return _op(x, weight, bias, dilation, backend or '')


class DepthwiseConv2d(nn.Conv2d):
    """:func:`depthwise_conv2d` as a module, with the parameters of PyTorch's."""

    def __init__(self, dim: int, kernel_size: int, dilation: int = 1, bias: bool = True):
        padding = dilation * (kernel_size // 2)
        super().__init__(dim, dim, kernel_size, 1, padding, dilation, dim, bias)

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():  # where sizes are tensors, which cannot be checked
            return super().forward(x)
        return depthwise_conv2d(x, self.weight, self.bias, self.dilation[0])
