"""Two checkpoints of one config: how far apart what their backbones return is."""

import os

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.utils._pytree import tree_leaves

from mmoverlock.apis.loading import load_model


def largest_difference(
    cfg: Config, one: str | os.PathLike, other: str | os.PathLike, size: int = 224
) -> float:
    """The largest difference of the maps that two checkpoints give for a random image.

    Args:
        cfg: Of mmpretrain, mmdet or mmseg.
        one: Checkpoint, loaded as it is.
        other: The one to compare; the differences are relative to the largest value of `one`.
        size: Of the image's sides, in pixels.

    Raises:
        ValueError, OSError: a checkpoint does not belong to the config.
    """
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    maps = []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')), torch.no_grad():
        for path in (one, other):
            model, _ = load_model(cfg, os.fspath(path), merge=False)
            maps.append(tree_leaves(model.backbone(image)))
    largest = max(float(map_.abs().max()) for map_ in maps[0])
    worst = max(float((a - b).abs().max()) for a, b in zip(*maps, strict=True))
    return worst / largest if largest else worst
