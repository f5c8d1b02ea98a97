"""The configs that are there, found on the disk; no test lists them."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmoverlock.models.overlock import ARCHS

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
MODELS_FOLDER = CONFIGS / '_base_/models/overlock'
LEAVES = sorted(CONFIGS.glob('[!_]*/*.py'))
SCOPES = {path: Config.fromfile(path).get('default_scope') for path in LEAVES}

# The facts that the papers and the published weights state of an arch. Another arch has none.
PUBLISHED = {
    'xt': dict(imagenet_drop_path=0.1, test_crop=0.925),
    't': dict(imagenet_drop_path=0.15, test_crop=0.95, coco_drop_path=0.2),
    's': dict(imagenet_drop_path=0.4, test_crop=0.95, coco_drop_path=0.4),
    'b': dict(imagenet_drop_path=0.5, test_crop=0.975, coco_drop_path=0.6),
}
WEIGHTS = 'https://github.com/LMMMEng/OverLoCK/releases/download/v1/overlock_{}_in1k_224.pth'
assert PUBLISHED.keys() <= ARCHS.keys()


def identity(path: Path) -> str:
    """A test's name for a config."""
    return path.stem


def leaves(folder: str, pattern: str = '*') -> list[Path]:
    """The leaves of a folder whose name matches; never none, lest a test vanish."""
    found = sorted((CONFIGS / folder).glob(f'{pattern}.py'))
    assert found, f'{folder}/{pattern}'
    return found
