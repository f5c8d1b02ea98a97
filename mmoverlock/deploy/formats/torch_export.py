"""torch.export's ``.pt2``; run by PyTorch alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as symbols

from mmoverlock.runtime.spec import KEY, OUTPUTS, Spec

from . import Settings

SUFFIX = '.pt2'
NEEDS = ()
HALF_ON_CPU = 'PyTorch computes in half precision on a CPU, slower than in float32 on most'


def program(module: nn.Module, example: Tensor, settings: Settings) -> torch.export.ExportedProgram:
    """The module's graph, for fixed or free sizes; in half precision the module becomes so, too."""
    if settings.half:
        module.half()
    # As torch.onnx does it: a free size may also become 1, such as the last map of 32×32 pixels.
    with symbols.patch(backed_size_oblivious=settings.dynamic):
        return torch.export.export(module, (example,), dynamic_shapes=settings.shapes, strict=False)


def write(module: nn.Module, example: Tensor, spec: Spec, path: Path, settings: Settings) -> None:
    found = program(module, example, settings)
    torch.export.save(found, path, extra_files={KEY: spec.to_json()})


def run(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    extra = {KEY: ''}
    module = torch.export.load(path, extra_files=extra).module()
    names = OUTPUTS[Spec.from_json(extra[KEY]).task]

    def call(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            results = module(torch.from_numpy(image))
        return {name: one.numpy() for name, one in zip(names, results, strict=False)}

    return call
