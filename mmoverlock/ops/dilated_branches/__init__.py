"""Sum of depthwise convolutions of one map, each with its own norm: a large kernel in training.

    out = Σ_k norm_k(conv_k(x))        (UniRepLKNet, arXiv 2311.15599, section 3.1)

The fused backends compute all branches in one call, and their gradients too. With SyncBatchNorm the
`triton` backend exchanges the statistics of all branches at once, and likewise the sums of their
gradients.

Removing it makes a training step of OverLoCK-T on a CPU 8 to 15% slower, depending on the processor
(docs/benchmarks/results.md).
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mmoverlock.ops import _numba, _triton
from mmoverlock.ops.arguments import has_hooks
from mmoverlock.ops.depthwise import DepthwiseConv2d
from mmoverlock.ops.dispatch import Backend, Operator

Layers = Sequence[nn.Module]


def _unsupported(x: Tensor, convs: Layers, norms: Layers) -> str | None:
    """Why no fused backend takes these layers, or None."""
    for conv in convs:
        if type(conv) is not DepthwiseConv2d or conv.bias is not None:
            return f'a branch is {type(conv).__name__}: DepthwiseConv2d without bias is needed'
    for norm in norms:
        if type(norm) not in (nn.BatchNorm2d, nn.SyncBatchNorm):
            return f'a norm is {type(norm).__name__}: BatchNorm2d is needed'
        if type(norm) is not type(norms[0]):
            return 'the norms are of several types'
        if not norm.training:
            return 'a batch norm is frozen or in evaluation mode'
        if not norm.affine or not norm.track_running_stats or norm.momentum is None:
            return 'a batch norm has no weights, no running statistics or no momentum'
        if norm.eps != norms[0].eps:
            return 'the batch norms differ in eps'
    if has_hooks(*convs, *norms):
        return 'a layer has hooks'
    if _synchronized(norms):  # other processes may hold more: all must run the same backend
        return None
    if not x.numel():
        return 'the map is empty'
    if x.numel() == x.shape[1]:
        return 'one value per channel has no variance'
    return None


def _synchronized(norms: Layers) -> bool:
    """Whether the norms exchange their statistics with other processes."""
    return (
        isinstance(norms[0], nn.SyncBatchNorm)
        and dist.is_initialized()
        and dist.get_world_size() > 1
    )


def _unsupported_by_numba(x: Tensor, convs: Layers, norms: Layers) -> str | None:
    if isinstance(norms[0], nn.SyncBatchNorm):
        return 'a norm is SyncBatchNorm: BatchNorm2d is needed'
    return _unsupported(x, convs, norms) or _numba.unsupported(x)


def _unsupported_by_triton(x: Tensor, convs: Layers, norms: Layers) -> str | None:
    reason = _unsupported(x, convs, norms)
    if reason is None and _synchronized(norms):
        if any(norm.process_group is not None for norm in norms):
            return 'a SyncBatchNorm has a process group of its own'
    return reason


def _one_by_one(x: Tensor, convs: Layers, norms: Layers) -> Tensor:
    (conv, norm), *others = zip(convs, norms, strict=True)
    y = norm(conv(x))
    for conv, norm in others:
        y += norm(conv(x))
    return y


def _run_numba(*args: Tensor | Layers) -> Tensor:
    from . import numba_cpu

    return numba_cpu.dilated_branches(*args)


def _run_triton(x: Tensor, convs: Layers, norms: Layers) -> Tensor:
    from . import triton_gpu

    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return triton_gpu.dilated_branches(x, convs, norms, _synchronized(norms))


DILATED_BRANCHES = Operator(
    'dilated_branches',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported_by_numba),
    Backend(
        'triton', _run_triton, _triton.unavailable, _unsupported_by_triton, _triton.interpreted
    ),
    Backend('reference', _one_by_one),
)


def dilated_branches(
    x: Tensor,
    convs: Layers,
    norms: Layers,
    backend: str | None = None,
) -> Tensor:
    """``Σ_k norms[k](convs[k](x))``, as the layers compute it in their mode.

    In training the batch norms' running statistics move as they do in the layers.

    Args:
        x: (B, C, H, W).
        convs: Depthwise convolutions with "same" padding, usually :class:`.DepthwiseConv2d`.
        norms: As many norms, usually ``nn.BatchNorm2d`` or ``nn.SyncBatchNorm``.
        backend: 'reference' (the layers one by one), 'numba' or 'triton'; None: see
            :mod:`.dispatch`.

    Returns:
        (B, C, H, W). Differentiable in x and in the parameters of the layers.

    Raises:
        ValueError: if the backend cannot run.
    """
    return DILATED_BRANCHES(x, convs, norms, device=x.device, backend=backend)
