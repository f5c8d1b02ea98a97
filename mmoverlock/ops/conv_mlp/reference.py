"""The layers of the MLP one after the other."""

from __future__ import annotations

from torch import Tensor, nn


def conv_mlp(
    x: Tensor,
    expand: nn.Module,
    act: nn.Module,
    dwconv: nn.Module,
    norm: nn.Module,
    project: nn.Module,
) -> Tensor:
    """See :func:`mmoverlock.ops.conv_mlp`."""
    return project(norm(dwconv(act(expand(x)))))
