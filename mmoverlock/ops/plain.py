"""When the network is computed as its formulas say, without this project's shortcuts."""

from __future__ import annotations

import torch

from mmoverlock import environment


@torch.compiler.assume_constant_result  # within torch.compile, is_exporting() is True otherwise
def exporting() -> bool:
    """In torch.jit.trace and torch.export, and so in torch.onnx.export."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def plain() -> bool:
    """In export, where compiled kernels cannot go along, and with MMOVERLOCK_BACKEND=reference.

    Then there is neither a layout of our choice nor an operator that overwrites its input.
    """
    return exporting() or environment.backend() == 'reference'
