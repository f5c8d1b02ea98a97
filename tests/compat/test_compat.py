"""What importing mmoverlock changes in other libraries, once."""

import sys

import mmengine.registry
import mmengine.runner.checkpoint as mmengine_checkpoint
from mmengine.registry import MODELS, Registry
from mmengine.runner.checkpoint import CheckpointLoader

from mmoverlock import compat


def state() -> list:
    roots = [one for one in vars(mmengine.registry).values() if isinstance(one, Registry)]
    return [
        list(sys.meta_path),
        [root.children['mmoverlock'] for root in roots],
        dict(CheckpointLoader._schemes),
        mmengine_checkpoint.load_url,
        mmengine_checkpoint._safe_torch_load,
    ]


def test_installing_again_changes_nothing():
    before = state()
    compat.install()
    assert state() == before


def test_the_scope_finds_our_names():
    ours = MODELS.children['mmoverlock']
    assert ours.get('OverLoCK') is MODELS.get('OverLoCK') is not None
