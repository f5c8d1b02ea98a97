"""Stand-ins for the authors' files: their names and shapes, a number in the place of a tensor."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmoverlock.utils.config import read_config
from mmoverlock.utils.model_index import ModelInfo

from .testing import golden_json, on_meta

TASKS = {'mmpretrain': 'cls', 'mmdet': 'det', 'mmseg': 'seg'}
NETS = ('base_net', 'overview_net', 'focus_net')
HEADS = {'head.main.': 'head.', 'head.aux.': 'aux_head.'}


def published_shapes(info: ModelInfo) -> dict[str, list[int]]:
    """Names and shapes in a published file; those of detectors' and segmentors' necks and heads,
    which nobody changed, are the libraries'."""
    cfg = read_config(info.config)
    task = TASKS[info.scope] + '_reparam' * bool(cfg.model.backbone.get('deploy'))
    shapes = golden_json('state_dict_manifest')[f'{task}/{cfg.model.backbone.arch}']
    if info.scope == 'mmpretrain':
        return shapes
    with on_meta(), DefaultScope.overwrite_default_scope(info.scope):
        whole = MODELS.build(cfg.model).state_dict()
    rest = {name: [*x.shape] for name, x in whole.items() if not name.startswith('backbone.')}
    return {**{f'backbone.{name}': shape for name, shape in shapes.items()}, **rest}


def number_of(name: str) -> float:
    """The number that all elements of a published tensor are."""
    return (zlib.crc32(name.encode()) % 1000 + 1) / 1000


def write_stand_in(folder: Path, info: ModelInfo) -> Path:
    """Write a file of a few kilobytes with the name, the tensors and the shapes of a published one."""
    shapes = published_shapes(info)
    state = {n: torch.full((1,) * len(s), number_of(n)).expand(s) for n, s in shapes.items()}
    path = folder / info.weights.rpartition('/')[2]
    torch.save(state if info.scope == 'mmpretrain' else dict(state_dict=state, meta={}), path)
    return path


def wrong_tensors(model: nn.Module, shapes: Iterable[str]) -> list[str]:
    """The model's parameters and statistics that a stand-in has not set, under our names."""
    published = set(shapes)

    def names_of(ours: str) -> Iterable[str]:
        yield ours
        plain = ours.replace('backbone.', '', 1)
        for net in NETS:
            flat = plain.removeprefix(f'{net}.')
            yield from (flat, f'backbone.{flat}')
        for mine, theirs in HEADS.items():
            yield ours.replace(mine, theirs, 1)

    def is_wrong(ours: str, value: Tensor) -> bool:
        numbers = [number_of(name) for name in names_of(ours) if name in published]
        return not any(bool((value == torch.tensor(number)).all()) for number in numbers)

    return [
        name
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked') and is_wrong(name, value)
    ]


def without_drawing() -> mock._patch:
    """Weights that are overwritten are not drawn, which takes seconds."""
    return mock.patch.object(torch.nn.init, 'trunc_normal_', lambda tensor, **options: tensor)
