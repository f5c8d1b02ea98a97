"""Checks of a config's model."""

import torch
from mmengine.config import Config
from torch import nn
from torch.utils._pytree import tree_leaves

from mmoverlock.models import OverLoCK
from mmoverlock.utils.config import as_list
from mmoverlock.utils.errors import one_line


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


def check_pair(model: nn.Module) -> None:
    """Raise ValueError if, of the backbone's (focus, overview), the overview alone is trained.

    Heads of mmpretrain and mmseg take the last of several maps unless they are told otherwise. What
    a classifier's or segmentor's neck and head do take is found out by running them.
    """
    backbone = getattr(model, 'backbone', None)
    name = 'head' if hasattr(model, 'head') else 'decode_head'
    head = getattr(model, name, None)
    if not isinstance(backbone, OverLoCK) or backbone.out_indices is not None or head is None:
        return
    pair = [torch.zeros(2, n, 8, 8, requires_grad=True) for n in backbone.out_channels]
    remedy = f'set model.backbone.out_indices=[3] and model.{name}.in_channels={pair[0].shape[1]}'
    maps = tuple(pair)
    try:
        if getattr(model, 'neck', None) is not None:
            maps = model.neck(maps)
        outs = tree_leaves(head(maps))
    except TypeError:  # a head that takes more than maps
        return
    except (AssertionError, IndexError, RuntimeError) as error:  # maps that do not fit
        raise ValueError(
            f'model.backbone.out_indices is not set, and model.{name} does not take the maps '
            f'(focus, overview) of {backbone.out_channels} channels: {one_line(error)}; for a head '
            f'of one map {remedy}'
        ) from error
    if torch.autograd.grad(sum(map(torch.sum, outs)), pair[0], allow_unused=True)[0] is None:
        raise ValueError(
            f'model.backbone.out_indices is not set: of the maps (focus, overview) model.{name} '
            f'takes the last, and Focus-Net would not be trained; {remedy}'
        )


def check_masks(cfg: Config, model: nn.Module) -> None:
    """Raise ValueError if a test evaluates masks, which the model does not predict."""
    for evaluator in as_list(cfg.get('test_evaluator')):
        metrics = evaluator.get('metric') or []
        metrics = [metrics] if isinstance(metrics, str) else metrics
        if 'segm' in metrics and getattr(model, 'with_mask', True) is False:
            raise ValueError("'segm' cannot be evaluated: the model has no mask head")
