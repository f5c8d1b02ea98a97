"""Run exported models with ONNX Runtime and NumPy alone: no PyTorch, no MMEngine."""

from .model import ExportedModel

__all__ = ['ExportedModel']
