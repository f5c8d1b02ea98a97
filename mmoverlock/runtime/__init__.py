"""Run exported models with ONNX Runtime and NumPy alone: no PyTorch, no MMEngine."""
