"""The configs that are there, found on the disk; no test lists them."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

from mmengine.config import Config

from mmoverlock.models.overlock import ARCHS, get_arch

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
MODELS_FOLDER = CONFIGS / '_base_/models/overlock'
LEAVES = sorted(CONFIGS.glob('[!_]*/*.py'))

# The facts that the papers and the published weights state of an arch. Another arch has none.
PUBLISHED = {
    'xt': dict(imagenet_drop_path=0.1, test_crop=0.925),
    't': dict(imagenet_drop_path=0.15, test_crop=0.95, coco_drop_path=0.2, ade_drop_path=0.2),
    's': dict(imagenet_drop_path=0.4, test_crop=0.95, coco_drop_path=0.4, ade_drop_path=0.3),
    'b': dict(imagenet_drop_path=0.5, test_crop=0.975, coco_drop_path=0.6, ade_drop_path=0.5),
}
WEIGHTS = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_{}_in1k_224.pth'
assert PUBLISHED.keys() <= ARCHS.keys()


@cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)


def read(path: Path) -> Config:
    """The config of a file. MMEngine reads mmdet's metafiles for each, so this does so once."""
    return copy.deepcopy(_read(path))


def shallow(arch: str | dict) -> dict:
    """The arch with one block in each stage: as wide, and several times as fast."""
    return asdict(replace(get_arch(arch), depth=(1, 1, 1, 1), sub_depth=(1, 1)))


def identity(path: Path) -> str:
    """A test's name for a config."""
    return path.stem


def leaves(folder: str, pattern: str = '*') -> list[Path]:
    """The leaves of a folder whose name matches; never none, lest a test vanish."""
    found = sorted((CONFIGS / folder).glob(f'{pattern}.py'))
    assert found, f'{folder}/{pattern}'
    return found
