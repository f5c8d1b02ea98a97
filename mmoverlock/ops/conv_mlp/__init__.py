"""OverLoCK's MLP: two 1×1 convolutions, between them GELU, a residual 3×3 convolution and GRN.

    out = project(GRN(h + dwconv(h)))    with h = GELU(expand(x))

The maps in between are the widest of the network: they cost more to read and write than to
convolve. The fused backends keep them out of memory where they can.

Removing it makes OverLoCK-T 6% slower at 800×1344, and a training step 8%; the step takes 14% more
memory without it (docs/benchmarks/results.md).
"""

import torch
from torch import Tensor, nn

from mmoverlock.ops import _numba
from mmoverlock.ops.arguments import has_hooks
from mmoverlock.ops.dispatch import Backend, Operator
from mmoverlock.ops.residual_conv import MMAP_THRESHOLD, ResDWConv

from .layers import GELU, GRN

__all__ = ['GELU', 'GRN', 'conv_mlp']


def _unsupported(
    x: Tensor, expand: nn.Module, act: nn.Module, dwconv: nn.Module, norm: nn.Module, _: nn.Module
) -> str | None:
    """Why the fused loops do not take these layers, or None."""
    layers = expand, act, dwconv, norm
    kinds = nn.Conv2d, GELU, ResDWConv, GRN
    for layer, kind in zip(layers, kinds, strict=True):
        if getattr(type(layer), 'forward', None) is not kind.forward:
            return f'a layer is {type(layer).__name__}: {kind.__name__} is needed'
    if has_hooks(*layers):
        return 'a layer has hooks'
    if act.approximate != 'none' or expand.bias is None:
        return 'GELU is approximate, or the convolution before it has no bias'
    if not torch.is_grad_enabled():
        if torch.compiler.is_compiling():
            return 'torch.compile fuses the layers itself in inference'
        if x.nbytes // x.shape[1] * expand.out_channels > MMAP_THRESHOLD:
            return 'the map is large: layers that overwrite their input are faster in inference'
    return _numba.unsupported(x)


def _layer_by_layer(x: Tensor, *layers: nn.Module) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _run_numba(*args: Tensor | nn.Module) -> Tensor:
    from . import numba_cpu

    return numba_cpu.conv_mlp(*args)


CONV_MLP = Operator(
    'conv_mlp',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported),
    Backend('reference', _layer_by_layer),
)


def conv_mlp(
    x: Tensor,
    expand: nn.Module,
    act: nn.Module,
    dwconv: nn.Module,
    norm: nn.Module,
    project: nn.Module,
    backend: str | None = None,
) -> Tensor:
    """project(norm(dwconv(act(expand(x))))).

    Args:
        x: (B, C, H, W).
        expand: 1×1 convolution to the hidden channels.
        act: GELU.
        dwconv: :class:`mmoverlock.ops.ResDWConv`.
        norm: :class:`mmoverlock.ops.GRN`.
        project: 1×1 convolution.
        backend: 'reference' (the layers one by one) or 'numba'; None: see :mod:`.dispatch`.

    Returns:
        (B, C', H, W). Differentiable in x and in the parameters of the layers.

    Raises:
        ValueError: if the backend cannot run.
    """
    layers = expand, act, dwconv, norm, project
    return CONV_MLP(x, *layers, device=x.device, backend=backend)
