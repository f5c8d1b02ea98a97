"""Batches of one image, which a batch norm over a single pixel cannot be trained on."""

import contextlib
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.nn.modules.batchnorm import _BatchNorm

from mmoverlock.engine.distributed import env_world_size, has_sync_bn
from mmoverlock.ops import backend

from .loaders import Batches

_HEADS = ('head', 'decode_head', 'auxiliary_head', 'bbox_head', 'rpn_head')


def check_single_images(cfg: Config, model: nn.Module, dataset: Any, batches: Batches) -> None:
    """Raise ValueError if a batch of one image would end the training.

    Most norms see many pixels of one image. Whether one sees a single pixel, behind a global
    pooling for example, is found out by the shapes of a forward pass that computes nothing.
    """
    if batches.last != 1:
        return
    processes = env_world_size(cfg.get('launcher', 'none'))
    if processes > 1 and torch.cuda.is_available() and has_sync_bn(cfg):
        return  # all processes' images are counted
    norm = failing_norm(model, dataset)
    if norm is None:
        return
    why = f'model.{norm} is a batch norm over a single pixel, which needs two images or more'
    if batches.size == 1:
        raise ValueError(f'train_dataloader.batch_size=1: {why}: set train_dataloader.batch_size=2')
    shared = f' on each of {processes} processes' if processes > 1 else ''
    raise ValueError(
        f'train_dataloader: {batches.images} images{shared} in batches of {batches.size} leave one '
        f'image for the last batch, and {why}: set train_dataloader.{batches.option}=True, or '
        'another batch_size'
    )


def failing_norm(model: nn.Module, dataset: Any) -> str | None:
    """The first batch norm that a batch of one sample of `dataset` fails in, if one does."""
    names = {one: name for name, one in model.named_modules() if isinstance(one, _BatchNorm)}
    found: list[str] = []

    def check(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        statistics = module.training or module.running_mean is None
        if statistics and inputs[0].numel() == inputs[0].shape[1]:
            found.append(names[module])

    handles = [norm.register_forward_pre_hook(check) for norm in names]
    before = model.training
    model.train()
    try:
        _forward_shapes(model, dataset)
    finally:
        model.train(before)
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _forward_shapes(model: nn.Module, dataset: Any) -> None:
    """Let fake tensors, which have a shape and no values, run through the model.

    What does not take them, or takes more than maps, is left out: it is the run's to tell.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with contextlib.suppress(Exception), backend('reference'), fake:
        with unset_fake_temporarily():
            data = model.data_preprocessor(pseudo_collate([dataset[0]]), training=True)
        maps = model.extract_feat(fake.from_tensor(data['inputs']))
        heads = [getattr(model, name, None) for name in _HEADS]
        for head in heads:
            for one in head if isinstance(head, nn.ModuleList) else [head] if head else []:
                with contextlib.suppress(Exception):
                    one(maps)
