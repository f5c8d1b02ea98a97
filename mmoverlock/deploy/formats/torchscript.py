"""TorchScript, traced; run by PyTorch and libtorch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmoverlock.runtime.spec import KEY, OUTPUTS, Spec

from . import Settings

SUFFIX = '.pt'
NEEDS = ()
HALF_ON_CPU = 'PyTorch computes in half precision on a CPU, slower than in float32 on most'


def write(module: nn.Module, example: Tensor, spec: Spec, path: Path, settings: Settings) -> None:
    if settings.half:
        module.half()
    with torch.no_grad():
        traced = torch.jit.trace(module, (example,), check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={KEY: spec.to_json()})


def run(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    extra = {KEY: ''}
    module = torch.jit.load(str(path), _extra_files=extra)
    names = OUTPUTS[Spec.from_json(extra[KEY]).task]

    def call(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            results = module(torch.from_numpy(image))
        return {name: one.numpy() for name, one in zip(names, results, strict=False)}

    return call
