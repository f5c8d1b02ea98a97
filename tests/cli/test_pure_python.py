"""Configs that import classes, as MMEngine's new ones do, work like those that name them."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from mmengine import registry
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import DefaultScope, Registry
from torch import nn

from mmoverlock.utils.config import read_config, type_name, walk
from mmoverlock.utils.models import build_model
from mmoverlock.utils.registry import find_class

KINDS = ('MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'LOOPS', 'OPTIMIZERS',
         'PARAM_SCHEDULERS', 'DATA_SAMPLERS', 'TASK_UTILS', 'VISUALIZERS', 'FUNCTIONS')  # fmt: skip
CASES = [
    ('det', ['--eval', 'bbox', 'mAP', '--show-dir', 'shown'], 'pascal_voc/mAP'),
    ('cls', ['--eval', 'accuracy', '--show-dir', 'shown'], 'accuracy/top1'),
    ('cls', ['--tta'], 'accuracy/top1'),
    ('seg', ['--eval', 'mIoU', 'mDice', '--show-dir', 'shown'], 'mDice'),
    ('seg', ['--tta'], 'mIoU'),
]


class PurePython:
    """The text of a config in which classes and functions take the place of their names."""

    def __init__(self, cfg: Config):
        self.imports: dict[str, Any] = {}
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            lines = [
                f'{name} = {self.written(value)}'
                for name, value in cfg._cfg_dict.items()
                if name not in ('default_scope', 'custom_imports')
            ]
        names = [f'from {one.__module__} import {name}' for name, one in self.imports.items()]
        self.text = '\n'.join([*names, *lines, ''])

    def written(self, value: Any) -> str:
        if isinstance(value, dict):
            pairs = [
                f'{key!r}: {self.named(one) if key == "type" else self.written(one)}'
                for key, one in value.items()
            ]
            return f'{{{", ".join(pairs)}}}'
        if isinstance(value, (list, tuple)):
            return f'{type(value).__name__}([{", ".join(map(self.written, value))}])'
        return repr(value)

    def named(self, name: str) -> str:
        kinds: list[Registry] = [getattr(registry, kind) for kind in KINDS]
        found = next(filter(None, (find_class(kind, dict(type=name)) for kind in kinds)), None)
        if found is None or not (inspect.isclass(found) or inspect.isfunction(found)):
            return repr(name)
        self.imports[found.__name__] = found
        return found.__name__


@pytest.fixture
def pure(at_home, tmp_path):
    """`pure('det')`: the path of that config, its classes imported in a base."""

    def write(name: str) -> str:
        (tmp_path / 'base.py').write_text(PurePython(Config.fromfile(f'{name}.py')).text)
        leaf = 'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
        (tmp_path / f'{name}.py').write_text(leaf)
        return str(tmp_path / f'{name}.py')

    return write


@pytest.mark.parametrize(('name', 'options', 'metric'), CASES)
def test_evaluation(pure, tool, tmp_path, name, options, metric):
    config = pure(name)
    assert inspect.isclass(read_config(config).model['type'])
    options = [str(tmp_path / one) if one == 'shown' else one for one in options]
    tool('test')([config, f'{name}.pth', '--work-dir', str(tmp_path / 'work'), *options])
    assert metric in json.loads((tmp_path / 'work/metrics.json').read_text())['metrics']
    assert '--show-dir' not in options or any(Path(tmp_path, 'shown').rglob('*.*'))


def test_training_and_the_config_that_it_dumps(pure, tool, tmp_path):
    tool('train')([pure('det'), '--work-dir', str(tmp_path / 'work')])
    dumped = read_config(tmp_path / 'work/det.py')
    named = read_config('det.py')
    kinds = [[(key, type_name(part)) for key, part in walk(one.model)] for one in (dumped, named)]
    assert sorted(kinds[0]) == sorted(kinds[1])
    dumped.dump(tmp_path / 'again.py')
    assert read_config(tmp_path / 'again.py').model == dumped.model
    with DefaultScope.overwrite_default_scope(dumped.default_scope):
        build_model(dumped)


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('BN', 'BN'),
        ('mmdet.BN', 'BN'),
        ('mmdet::BN', 'BN'),
        ('mmdet.models.losses.L1Loss', 'L1Loss'),
        (nn.SyncBatchNorm, 'SyncBatchNorm'),
        (LazyObject('torch.nn', 'ReLU'), 'ReLU'),
        (LazyAttr('ReLU', LazyObject('torch.nn')), 'ReLU'),
        (walk, 'walk'),
        (None, ''),
    ],
)
def test_names_of_types(kind, name):
    assert type_name(kind) == type_name(dict(type=kind)) == name
