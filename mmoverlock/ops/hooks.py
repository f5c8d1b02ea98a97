"""Forward and backward hooks of layers: an operator that replaces layers would not call them."""

from torch import nn


def has_hooks(*layers: nn.Module) -> bool:
    """True if one of the layers has a forward or backward hook."""
    return any(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        for layer in layers
    )
