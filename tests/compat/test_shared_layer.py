"""Classification does not load mmdet, and mmdet has mmpretrain's layer all the same."""

import subprocess
import sys

import pytest

CHECK = """
import sys
from mmpretrain.models import utils
from mmdet.registry import MODELS
import mmdet.models
from mmpretrain.models.utils import res_layer_extra_norm
layer = MODELS.get('ResLayerExtraNorm')
assert utils.ResLayerExtraNorm is res_layer_extra_norm.ResLayerExtraNorm is layer is not None
assert layer.__module__ == 'mmpretrain.models.utils.res_layer_extra_norm'
"""
UNUSED = """
assert not {'mmdet', 'mmseg', 'sklearn', 'pandas'} & {*sys.modules}
from mmpretrain.models import utils
assert utils.ResLayerExtraNorm is None
"""
FIRST = dict(
    classification='import sys, mmoverlock\n' + UNUSED,
    detection='from mmoverlock_import_hook import install; install(); import mmdet.models, mmoverlock',
)


@pytest.mark.parametrize('first', FIRST.values(), ids=FIRST)
def test_the_layer_comes_with_mmdet(first):
    done = subprocess.run([sys.executable, '-c', first + CHECK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
