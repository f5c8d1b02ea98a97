"""Checks of arguments that several operators share."""

import torch
from torch import Tensor, nn


def check_window(name: str, size: tuple[int, int], kernel_size: int) -> None:
    if any(length < kernel_size for length in size):
        raise ValueError(
            f'{name} map {tuple(size)}: at least {kernel_size}×{kernel_size} is needed'
        )


def check_same(**tensors: Tensor) -> None:
    (first, a), *rest = tensors.items()
    for name, b in rest:
        same = a.dtype == b.dtype or torch.is_autocast_enabled(a.device.type)
        if a.device != b.device or not same or not a.is_floating_point():
            raise ValueError(
                f'{first} ({a.dtype}, {a.device}) and {name} ({b.dtype}, {b.device}): '
                'floating-point tensors of one dtype (but for autocast) on one device are needed'
            )


def has_hooks(*layers: nn.Module) -> bool:
    """True if a layer has hooks: an operator that replaces layers would not call them."""
    return any(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        for layer in layers
    )
