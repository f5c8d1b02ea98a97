"""Squeeze-and-excitation (arXiv 1709.01507).

    out = x · sigmoid(expand(GELU(reduce(mean of x over its pixels))))

Its layers are small: in inference PyTorch takes longer to call them than they compute.
"""

import torch
from torch import Tensor, nn

from mmoverlock.ops import _numba
from mmoverlock.ops.autograd import is_eager
from mmoverlock.ops.dispatch import Backend, Operator, may_overwrite
from mmoverlock.ops.hooks import has_hooks


def _unsupported(x: Tensor, *layers: nn.Module) -> str | None:
    """Why the loops do not take these layers, or None."""
    if not may_overwrite() or not is_eager(x):
        return 'only in eager inference'
    kinds = nn.AdaptiveAvgPool2d, nn.Conv2d, nn.GELU, nn.Conv2d, nn.Sigmoid
    for layer, kind in zip(layers, kinds, strict=True):
        if getattr(type(layer), 'forward', None) is not kind.forward:
            return f'a layer is {type(layer).__name__}: {kind.__name__} is needed'
    if has_hooks(*layers):
        return 'a layer has hooks'
    _, reduce, act, expand, _ = layers
    if reduce.bias is None or expand.bias is None or act.approximate != 'none':
        return 'GELU is approximate, or a convolution has no bias'
    if reduce.weight.dtype != x.dtype:
        return f'{x.dtype} map, {reduce.weight.dtype} weights'
    if not x.is_contiguous(memory_format=torch.channels_last):
        return 'the map is not channels_last'
    return _numba.unsupported(x)


def _run_numba(*args: Tensor | nn.Module) -> Tensor:
    from . import numba_cpu

    return numba_cpu.squeeze_excite(*args)


def _layer_by_layer(x: Tensor, *layers: nn.Module) -> Tensor:
    scale = x
    for layer in layers:
        scale = layer(scale)
    return x.mul_(scale) if may_overwrite() else x * scale


SQUEEZE_EXCITE = Operator(
    'squeeze_excite',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported),
    Backend('reference', _layer_by_layer),
)


def squeeze_excite(
    x: Tensor,
    pool: nn.Module,
    reduce: nn.Module,
    act: nn.Module,
    expand: nn.Module,
    gate: nn.Module,
    backend: str | None = None,
) -> Tensor:
    """x · gate(expand(act(reduce(pool(x))))), written over x where no gradient is wanted.

    Args:
        x: (B, C, H, W).
        pool: To (B, C, 1, 1), the mean over all pixels.
        reduce: 1×1 convolution to the hidden channels.
        act: GELU.
        expand: 1×1 convolution to C channels.
        gate: Sigmoid.
        backend: 'reference' (the layers one by one) or 'numba'; None: see :mod:`.dispatch`.

    Returns:
        (B, C, H, W). Differentiable in x and in the parameters of the layers.

    Raises:
        ValueError: if the backend cannot run.
    """
    layers = pool, reduce, act, expand, gate
    return SQUEEZE_EXCITE(x, *layers, device=x.device, backend=backend)
