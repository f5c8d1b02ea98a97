"""Inferencers of mmdet and mmseg around a model that is built already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn


def inferencer_of(base: type, cfg: Config, model: nn.Module, visualizer: str) -> Any:
    """Build the library's inferencer `base` with this model; `visualizer` is required, not used."""

    class Inferencer(base):
        def _init_model(self, *_) -> nn.Module:
            return model

        def _init_collate(self, *_) -> Callable:
            return pseudo_collate

    cfg.visualizer = dict(type=visualizer)
    return Inferencer(cfg, device='cpu', show_progress=False)
