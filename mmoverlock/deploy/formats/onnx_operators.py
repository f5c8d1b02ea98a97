"""ONNX of PyTorch's operators that its exporter does not know."""

from collections.abc import Callable
from typing import Any

import torch


def translations() -> dict[Callable, Callable]:
    """A `custom_translation_table` of torch.onnx.export."""
    from onnxscript import opset18 as op

    def sort(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
        """TopK of all: of equal values it gives the first one first."""
        axis = op.Constant(value_ints=[dim])
        number = op.Gather(op.Shape(self), axis)
        return op.TopK(self, number, axis=dim, largest=int(descending), sorted=1)

    return {torch.ops.aten.sort.stable: sort}
