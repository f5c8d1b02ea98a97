"""Classifiers of mmpretrain, as they are exported: pictures in, probabilities out."""

from collections.abc import Callable

import torch
from mmengine.config import Config
from mmpretrain.models.classifiers import TimmClassifier
from mmpretrain.models.heads import ClsHead, ConformerHead, MultiLabelClsHead
from torch import Tensor, nn

from mmoverlock.runtime.spec import OUTPUTS

from .exportable import Size


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(1)


def _softmax_of_sum(logits: tuple[Tensor, ...]) -> Tensor:
    return sum(logits).softmax(1)


# What these classes' predictions are made of; an heir that predicts otherwise is refused.
PROBABILITIES: dict[type, Callable] = {
    ConformerHead: _softmax_of_sum,  # of its two branches
    MultiLabelClsHead: torch.sigmoid,
    ClsHead: _softmax,
    TimmClassifier: _softmax,
}
PREDICTS = ('predict', '_get_predictions')


class ExportedClassifier(nn.Module):
    """(B, C, H, W) → probabilities (B, classes), as the model's ``predict`` gives them."""

    outputs = OUTPUTS['classification']

    def __init__(self, model: nn.Module, probabilities: Callable):
        super().__init__()
        self.model = model
        self.probabilities = probabilities

    def forward(self, image: Tensor, size: Size | None = None) -> tuple[Tensor]:
        logits = self.model(image)
        if isinstance(logits, Tensor):
            logits = logits.float()  # half precision ends here
        return (self.probabilities(logits),)


def exportable(model: nn.Module, cfg: Config) -> ExportedClassifier:
    """
    Raises:
        ValueError: if the model has no head, or one that predicts in a way of its own.
    """
    predicts = model if isinstance(model, TimmClassifier) else getattr(model, 'head', None)
    if predicts is None:
        raise ValueError(f'model.head: {type(model).__name__} has none, there is nothing to export')
    own = type(predicts)
    kind = next((one for one in PROBABILITIES if issubclass(own, one)), None)
    if kind is None or any(getattr(own, name) is not getattr(kind, name) for name in PREDICTS):
        allowed = ', '.join(one.__name__ for one in PROBABILITIES)
        raise ValueError(
            f"model.head: '{own.__name__}' predicts in a way of its own, which is not exported; "
            f'exported are {allowed} and what inherits their predictions'
        )
    return ExportedClassifier(model, PROBABILITIES[kind])
