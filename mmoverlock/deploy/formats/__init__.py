"""The formats that models are exported to: one module each, with the same names.

- ``SUFFIX``: of the file.
- ``NEEDS``: modules of the extra ``deploy`` that it needs.
- ``write(module, example, spec, path, settings)``: export a module that is in evaluation mode.
- ``run(path)``: a function from a picture batch (B, C, H, W) to the outputs by name, as arrays: the
  file, run as its users will.
- ``HALF_ON_CPU``: what becomes of half precision on a CPU, for people.
"""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from torch.export import Dim

from mmoverlock.runtime.spec import INPUT
from mmoverlock.utils.errors import did_you_mean, shown

FORMATS = {
    'onnx': 'onnx',
    'torch-export': 'torch_export',
    'torchscript': 'torchscript',
    'openvino': 'openvino',
}
LEAST = 32  # pixels of a side
TRACED = 33  # of a free one in torch.export, which would keep maps of one pixel apart
GREATEST = 16384
BATCH = 1024
OPSET = 18  # of ONNX, the oldest that PyTorch writes


@dataclass(frozen=True)
class Settings:
    """How a module is exported.

    Args:
        dynamic: Whether batch, height and width are free; otherwise they are those of the example.
        half: Whether weights and computation are in half precision.
        opset: ONNX's.
    """

    dynamic: bool = False
    half: bool = False
    opset: int = OPSET

    @property
    def free(self) -> dict[int, str]:
        """The free dimensions of the input, by name."""
        return {0: 'batch', 2: 'height', 3: 'width'} if self.dynamic else {}

    @property
    def shapes(self) -> dict[str, dict[int, Dim]] | None:
        """``dynamic_shapes`` of torch.export: there sides begin at TRACED."""
        bounds = dict(batch=(1, BATCH), height=(TRACED, GREATEST), width=(TRACED, GREATEST))
        sizes = {
            index: Dim(name, min=bounds[name][0], max=bounds[name][1])
            for index, name in self.free.items()
        }
        return {INPUT: sizes} if sizes else None


def format_of(name: str) -> ModuleType:
    """The module of a format.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS)
        raise ValueError(f"format='{name}': allowed are {shown(FORMATS)}{hint}")
    return import_module(f'.{FORMATS[name]}', __package__)
