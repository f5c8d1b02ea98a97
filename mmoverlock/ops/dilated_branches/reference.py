"""The branches one after the other, by their layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def dilated_branches(x: Tensor, convs: Sequence[nn.Module], norms: Sequence[nn.Module]) -> Tensor:
    """See :func:`mmoverlock.ops.dilated_branches`."""
    (conv, norm), *others = zip(convs, norms, strict=True)
    y = norm(conv(x))
    for conv, norm in others:
        y += norm(conv(x))
    return y
