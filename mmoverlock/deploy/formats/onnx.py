"""ONNX, by PyTorch's exporter; run by ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmoverlock.runtime.spec import INPUT, KEY, Spec

from . import Settings, torch_export
from .onnx_operators import translations

SUFFIX = '.onnx'
NEEDS = ('onnx', 'onnxscript', 'onnxruntime')
HALF_ON_CPU = 'ONNX Runtime computes most of it in float32 on a CPU, with casts between'


def write(module: nn.Module, example: Tensor, spec: Spec, path: Path, settings: Settings) -> None:
    """Weights beyond 2 GB go into a second file, ``path`` with ``.data`` added."""
    found = torch.onnx.export(
        torch_export.program(module, example, settings),
        dynamo=True,
        input_names=[INPUT],
        output_names=list(module.outputs),
        dynamic_shapes={INPUT: settings.free},  # their names
        opset_version=settings.opset,
        custom_translation_table=translations(),
        verbose=False,
    )
    found.model.metadata_props[KEY] = spec.to_json()
    found.save(path)


def run(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return lambda image: dict(zip(names, session.run(names, {INPUT: image}), strict=True))
