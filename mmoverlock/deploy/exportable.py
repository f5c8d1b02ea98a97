"""What is exported of a model: a module from pictures to the outputs named in a spec."""

from importlib import import_module
from typing import Protocol

from mmengine.config import Config
from torch import Tensor, nn

from mmoverlock.models.overlock.any_size import adaptive_avg_pool2d
from mmoverlock.runtime.spec import OUTPUTS
from mmoverlock.utils.models import library_of

# By library: the task, and the module here whose `exportable` makes it.
TASKS = {
    'mmpretrain': ('classification', 'classifier'),
    'mmseg': ('segmentation', 'segmentor'),
    'mmdet': ('detection', 'detector'),
}

Size = tuple[int, int]


class Exportable(Protocol):
    """A network as it is exported, in evaluation mode.

    ``outputs`` names what it returns, in the order of ``spec.OUTPUTS``.
    """

    outputs: tuple[str, ...]

    def __call__(self, image: Tensor, size: Size | None = None) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, C, H, W) as the network sees it: normalized, padded.
            size: Height and width of the picture inside the padding, which is below and on the
                right; by default all of `image`. Boxes end there, label maps have this size.
        """
        ...


def task_of(model: nn.Module) -> str:
    """'classification', 'detection' or 'segmentation'.

    Raises:
        ValueError: if a model of this kind cannot be exported.
    """
    return _row(model)[0]


def exportable(model: nn.Module, cfg: Config) -> Exportable:
    """The module that is exported of a model with its weights, which it shares.

    Args:
        model: Of mmpretrain, mmdet or mmseg, in evaluation mode.
        cfg: The model's config.

    Raises:
        ValueError: if the model, or a part of it, cannot be exported: what, and what can.
    """
    task, name = _row(model)
    _pool_any_size(model)
    made = import_module(f'.{name}', __package__).exportable(model, cfg).eval()
    assert set(made.outputs) <= set(OUTPUTS[task]), made.outputs
    return made


class _AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """PyTorch's, but in an exported graph it pools maps of any size."""

    def forward(self, x: Tensor) -> Tensor:
        size = self.output_size
        return adaptive_avg_pool2d(x, (size, size) if isinstance(size, int) else size)


def _pool_any_size(model: nn.Module) -> None:
    """Replace the libraries' adaptive pooling, as in UPerNet's head; nothing else changes."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.AdaptiveAvgPool2d and child.output_size not in (1, (1, 1)):
                setattr(parent, name, _AdaptiveAvgPool2d(child.output_size))


def _row(model: nn.Module) -> tuple[str, str]:
    library = library_of(model)
    if library not in TASKS:
        raise ValueError(f'models of {library} cannot be exported: allowed are {[*TASKS]}')
    return TASKS[library]
