"""OpenVINO's intermediate representation, from the ONNX form; run by OpenVINO."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from mmoverlock.runtime.spec import INPUT, KEY, Spec

from . import Settings, onnx

SUFFIX = '.xml'
NEEDS = ('onnx', 'onnxscript', 'openvino')
HALF_ON_CPU = 'OpenVINO stores the weights in half precision and computes as the device is set to'


def write(module: nn.Module, example: Tensor, spec: Spec, path: Path, settings: Settings) -> None:
    """The weights go into a second file, with the suffix ``.bin``."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f'model{onnx.SUFFIX}')
        onnx.write(module, example, spec, file, replace(settings, half=False))
        model = openvino.convert_model(file)
        model.set_rt_info(spec.to_json(), KEY)
        openvino.save_model(model, path, compress_to_fp16=settings.half)


def run(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    import openvino

    core = openvino.Core()
    exact = {'INFERENCE_PRECISION_HINT': 'f32'}  # CPUs that can would take bfloat16
    compiled = core.compile_model(core.read_model(path), 'CPU', exact)
    names = [output.any_name for output in compiled.outputs]

    def call(image: np.ndarray) -> dict[str, np.ndarray]:
        results = compiled({INPUT: image})
        return {name: results[name].copy() for name in names}

    return call
