"""Our models by name, in the manner of mmpretrain, for all three libraries."""

import fnmatch
import os
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmoverlock.engine.checkpoints import fit_state_dict
from mmoverlock.utils.config import read_config
from mmoverlock.utils.datasets import leaf_dataset
from mmoverlock.utils.model_index import model_info, model_infos
from mmoverlock.utils.models import build_model

from .names import class_names, colours


def list_models(
    pattern: str | None = None,
    exclude_patterns: Iterable[str] | None = None,
    task: str | None = None,
) -> list[str]:
    """Names of the models, sorted, as mmpretrain's function of this name lists them.

    Args:
        pattern: A pattern with wildcards, to which ``*`` is added: ``'overlock*in1k'``.
        exclude_patterns: Names that match one of these, with ``*`` added, are left out.
        task: Only models with results on this task: 'Image Classification', 'Object Detection',
            'Instance Segmentation' or 'Semantic Segmentation'; 'null': those without results.

    Raises:
        ValueError: there is no such task.
    """
    models = model_infos()
    names = set(models)
    if pattern is not None:
        names &= set(fnmatch.filter(names, f'{pattern.lower()}*'))
    for exclude in exclude_patterns or ():
        names -= set(fnmatch.filter(names, f'{exclude.lower()}*'))
    if task is not None:
        known = {one for model in models.values() for one in model.tasks} | {'null'}
        if task not in known:
            raise ValueError(f'task={task!r} is none of {", ".join(sorted(known))}')
        names = {name for name in names if task in (models[name].tasks or ['null'])}
    return sorted(names)


def get_model(
    name: str,
    pretrained: bool | str | os.PathLike = False,
    device: str | torch.device | None = None,
    **settings: Any,
) -> nn.Module:
    """Build a model by name, as mmpretrain's function of this name does: classifiers, detectors and
    segmentors, each of its own library.

    Args:
        name: One of :func:`list_models`, or a published file's name without its suffix.
        pretrained: ``True`` for the published weights, or a file or URL of weights. Without
            `settings`, every tensor of the model must come from it.
        device: Where the model goes; by default it stays on the CPU.
        **settings: Merged into the config's ``model``, such as
            ``backbone=dict(frozen_stages=2)`` or ``head=dict(num_classes=10)``.

    Returns:
        The model in evaluation mode, its branches as the config has them. It carries its config as
        ``cfg`` and names and colours of the classes as ``dataset_meta``, for the libraries'
        functions that take a model.

    Raises:
        ValueError: there is no such model or it has no weights, a setting is wrong, the weights
            cannot be had or do not fit.
    """
    info = model_info(name)
    source = str(pretrained or '') if not isinstance(pretrained, bool) else None
    if pretrained is True:
        source = info.weights
        if source is None:
            raise ValueError(f"model '{info.name}' has no published weights: pretrained={True}")
    cfg = read_config(info.config)
    if settings:
        cfg.merge_from_dict(dict(model=settings))
    with DefaultScope.overwrite_default_scope(info.scope):
        loaded = CheckpointLoader.load_checkpoint(source, map_location='cpu') if source else {}
        model = build_model(cfg)
        if source:
            fits, _ = fit_state_dict(model, loaded, strict=not settings, path=source)
            model.load_state_dict(fits, strict=False)
            model._is_init = True  # a Runner that is given this model must not draw new weights
        _describe(model, cfg, loaded)
    return model.to(device or 'cpu').eval()


def _describe(model: nn.Module, cfg: Config, loaded: dict[str, Any]) -> None:
    """Say of the model what the libraries' functions want to know: config and classes."""
    dataset = leaf_dataset(cfg.test_dataloader.dataset)
    names = class_names(dataset, loaded, model)
    meta = dict(classes=names, palette=colours(dataset, loaded, len(names)))
    model.cfg = model._config = cfg
    model.dataset_meta = model._dataset_meta = meta
