"""Checks of a config's model."""

from mmengine.config import Config
from torch import nn

from mmoverlock.models import OverLoCK
from mmoverlock.utils.config import as_list


def check_channels(cfg: Config, model: nn.Module) -> None:
    """Raise ValueError if the neck's channels, which the config repeats, are not the backbone's."""
    neck = next(iter(as_list(cfg.model.get('neck'))), {})
    given, backbone = neck.get('in_channels'), getattr(model, 'backbone', None)
    if not isinstance(backbone, OverLoCK) or not isinstance(given, (list, tuple)):
        return
    if tuple(given) != backbone.out_channels:
        raise ValueError(
            f'model.neck.in_channels={list(given)}: the backbone of this arch and out_indices '
            f'returns {list(backbone.out_channels)}'
        )


def check_masks(cfg: Config, model: nn.Module) -> None:
    """Raise ValueError if a test evaluates masks, which the model does not predict."""
    for evaluator in as_list(cfg.get('test_evaluator')):
        metrics = evaluator.get('metric') or []
        metrics = [metrics] if isinstance(metrics, str) else metrics
        if 'segm' in metrics and getattr(model, 'with_mask', True) is False:
            raise ValueError("'segm' cannot be evaluated: the model has no mask head")
