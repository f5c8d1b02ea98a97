"""Whether the model runs to be exported: compiled kernels cannot go into a graph."""

from __future__ import annotations

import torch


def exporting() -> bool:
    """In torch.jit.trace and torch.export, and so in torch.onnx.export."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()
