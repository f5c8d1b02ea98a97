"""mmcv's operators are there before anything imports mmoverlock, as pip installs it."""

import importlib.machinery
import shutil
from pathlib import Path

import mmdet
import pytest

from ..installed import PIP, Environment, copy_sources

INSTALLS = ['wheel', 'editable']

OPERATORS = """
import mmcv.ops
import sys, torch
assert 'mmoverlock' not in sys.modules  # nor does anything register, or change MMEngine
boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
assert mmcv.ops.nms(boxes, torch.tensor([0.7, 0.9, 0.8]), 0.5)[1].tolist() == [1, 2]
ext = sys.modules['mmcv._ext']
import mmoverlock
assert sys.modules['mmcv._ext'] is mmcv._ext is ext
"""

# mmseg asks for mmdet's heads and mmcv's operators once, when it is imported.
MMSEG = """
from mmseg.apis import inference_model
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import get_installed_path
from mmoverlock.models import OverLoCK
from mmseg.registry import MODELS
init_default_scope('mmseg')
folder = get_installed_path('mmseg') + '/.mim/configs/'
model = Config.fromfile(folder + 'mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py').model
model.backbone = dict(type='OverLoCK', arch='xxt', out_indices=(0, 1, 2, 3))
model.decode_head.in_channels = [24, 48, 128, 160]
model = MODELS.build(model)
assert isinstance(model.backbone, OverLoCK)
from mmdet.models import Mask2FormerHead
assert isinstance(model.decode_head, Mask2FormerHead)
"""


def install(kind: str, folder: Path, request) -> Environment:
    """An environment with the wheel, or with an editable install of a checkout in its folder."""
    if kind == 'wheel':
        return Environment(folder / 'env', request.getfixturevalue('wheel'))
    return Environment(folder / 'env', '-e', copy_sources(folder / 'checkout'))


@pytest.fixture(scope='module', params=INSTALLS)
def environment(request, tmp_path_factory) -> Environment:
    return install(request.param, tmp_path_factory.mktemp(request.param), request)


@pytest.mark.parametrize('script', [OPERATORS, MMSEG], ids=['mmcv', 'mmseg'])
def test_libraries_are_imported_first(script, environment, tmp_path):
    (tmp_path / 'script.py').write_text(script)
    environment.run('-W', 'ignore', 'script.py', cwd=tmp_path)


def test_mmdet_tests_a_model_with_its_own_tool(environment, home, tmp_path):
    tool = Path(mmdet.__file__).parent / '.mim/tools/test.py'
    arguments = 'det.py', 'det.pth', '--work-dir', tmp_path
    output = environment.run(tool, *arguments, cwd=home, MMOVERLOCK_BACKEND='reference')
    assert 'coco/segm_mAP' in output


def test_a_compiled_mmcv_wins(environment, tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').touch()
    find = "from importlib.util import find_spec; print(find_spec('mmcv._ext').origin)"
    stand_in = Path(environment.run('-c', find, PYTHONPATH=str(tmp_path)).strip())
    assert stand_in.parts[-4:] == ('mmoverlock', 'compat', 'mmcv_ext', 'operators.py')
    assert stand_in.is_relative_to(environment.folder.parent)
    compiled = tmp_path / 'mmcv' / f'_ext{importlib.machinery.EXTENSION_SUFFIXES[0]}'
    compiled.touch()
    assert environment.run('-c', find, PYTHONPATH=str(tmp_path)).strip() == str(compiled)


def test_an_older_checkout_has_no_stand_in(environment, tmp_path):
    (tmp_path / 'mmoverlock').mkdir()
    (tmp_path / 'mmoverlock/__init__.py').touch()
    find = "from importlib.util import find_spec; print(find_spec('mmcv._ext'))"
    assert environment.run('-c', find, PYTHONPATH=str(tmp_path)).strip() == 'None'


@pytest.mark.parametrize('kind', INSTALLS)
def test_uninstalling_leaves_nothing(kind, request, tmp_path):
    def modules() -> set[str]:
        return set(environment.run('-c', 'import sys; print(*sys.modules)').split())

    environment = install(kind, tmp_path, request)
    installed = modules()
    environment.run(*PIP, 'uninstall', '--yes', 'mmoverlock')
    assert list(environment.site_packages.rglob('*mmoverlock*')) == []
    added = installed - modules()
    # Start-up is as fast as without. The finder of an editable install, setuptools', imports more.
    assert not installed & {'mmoverlock', 'mmengine', 'mmcv', 'numpy', 'torch'}
    assert 'mmoverlock_import_hook' in added and (kind == 'editable' or len(added) == 1)


def test_python_starts_silently_when_the_checkout_is_gone(request, tmp_path):
    environment = install('editable', tmp_path, request)
    shutil.rmtree(tmp_path / 'checkout')
    start = 'import subprocess, sys; subprocess.run([sys.executable, "-c", ""], stderr=sys.stdout)'
    assert environment.run('-c', start) == ''
