"""Sum of depthwise convolutions of one map, each with its own norm: a large kernel in training.

    out = Σ_k norm_k(conv_k(x))        (UniRepLKNet, arXiv 2311.15599, section 3.1)

The fused backends read the map once for all branches, and the gradient too.

Removing it makes a training step of OverLoCK-T 15% slower (docs/benchmarks/results.md).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mmoverlock.ops import _numba
from mmoverlock.ops.arguments import has_hooks
from mmoverlock.ops.depthwise import DepthwiseConv2d
from mmoverlock.ops.dispatch import Backend, Operator


def _unsupported(x: Tensor, convs: Sequence[nn.Module], norms: Sequence[nn.Module]) -> str | None:
    """Why the fused loops do not take these layers, or None."""
    for conv in convs:
        if type(conv) is not DepthwiseConv2d or conv.bias is not None:
            return f'a branch is {type(conv).__name__}: DepthwiseConv2d without bias is needed'
    for norm in norms:
        if type(norm) is not nn.BatchNorm2d:
            return f'a norm is {type(norm).__name__}: BatchNorm2d is needed'
        if not norm.training:
            return 'a batch norm is frozen or in evaluation mode'
        if not norm.affine or not norm.track_running_stats or norm.momentum is None:
            return 'a batch norm has no weights, no running statistics or no momentum'
        if norm.eps != norms[0].eps:
            return 'the batch norms differ in eps'
    if has_hooks(*convs, *norms):
        return 'a layer has hooks'
    if x.numel() == x.shape[1]:
        return 'one value per channel has no variance'
    return _numba.unsupported(x)


def _one_by_one(x: Tensor, convs: Sequence[nn.Module], norms: Sequence[nn.Module]) -> Tensor:
    (conv, norm), *others = zip(convs, norms, strict=True)
    y = norm(conv(x))
    for conv, norm in others:
        y += norm(conv(x))
    return y


def _run_numba(*args: Tensor | Sequence[nn.Module]) -> Tensor:
    from . import numba_cpu

    return numba_cpu.dilated_branches(*args)


DILATED_BRANCHES = Operator(
    'dilated_branches',
    Backend('numba', _run_numba, _numba.unavailable, _unsupported),
    Backend('reference', _one_by_one),
)


def dilated_branches(
    x: Tensor,
    convs: Sequence[nn.Module],
    norms: Sequence[nn.Module],
    backend: str | None = None,
) -> Tensor:
    """``Σ_k norms[k](convs[k](x))``, as the layers compute it in their mode.

    In training the batch norms' running statistics move as they do in the layers.

    Args:
        x: (B, C, H, W).
        convs: Depthwise convolutions with "same" padding, usually :class:`.DepthwiseConv2d`.
        norms: As many norms, usually ``nn.BatchNorm2d``.
        backend: 'reference' (the layers one by one) or 'numba'; None: see :mod:`.dispatch`.

    Returns:
        (B, C, H, W). Differentiable in x and in the parameters of the layers.

    Raises:
        ValueError: if the backend cannot run.
    """
    return DILATED_BRANCHES(x, convs, norms, device=x.device, backend=backend)
