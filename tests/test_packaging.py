"""The package as users get it: sdist, wheel, `.mim`, configs inherited in a foreign folder."""

import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope

import mmoverlock
from mmoverlock.utils.registry import find_class

from .installed import run

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'maskrcnn_overlock/mask_rcnn_overlock_t_in1k_fpn_1x_coco.py'

USER_CONFIG = f"""
_base_ = 'mmoverlock::{CONFIG}'
model = dict(
    backbone=dict(arch='xxt', drop_path_rate=0.1, init_cfg=None),
    neck=dict(in_channels=[24, 48, 128, 160]))
"""

# What a user's own script does. A warning while the config is read would greet every user.
USER_SCRIPT = """
import warnings
import mmoverlock
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import get_installed_path
with warnings.catch_warnings():
    warnings.simplefilter('error')
    config = Config.fromfile('my_config.py')
assert config.model.backbone.type.endswith('OverLoCK'), config.model.backbone
assert config.model.backbone.arch == 'xxt'
init_default_scope(config.default_scope)
model = MODELS.build(config.model)
print('PACKAGE', mmoverlock.__file__)
print('CONFIGS', get_installed_path('mmoverlock'))
print('WEIGHTS', sum(p.numel() for p in model.backbone.parameters()))
"""


def use_from(folder: Path, **environment: str) -> dict[str, str]:
    """Write a user's config and script to a folder and run it; return what it printed, by name."""
    (folder / 'my_config.py').write_text(USER_CONFIG)
    (folder / 'script.py').write_text(USER_SCRIPT)
    output = run(sys.executable, 'script.py', cwd=folder, **environment)
    return dict(re.findall(r'^(PACKAGE|CONFIGS|WEIGHTS) (.+)$', output, re.MULTILINE))


def test_wheel_holds_every_module_and_mim(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {'mmoverlock/.mim/model-index.yml'}
    expected |= {'mmoverlock_import_hook.py', 'mmoverlock_import_hook.pth'}
    for path in (ROOT / 'mmoverlock').rglob('*'):
        if path.is_file() and not {'.mim', '__pycache__'} & {*path.parts}:
            expected.add(path.relative_to(ROOT).as_posix())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                expected.add('mmoverlock/.mim/' + path.relative_to(ROOT).as_posix())
    assert expected - names == set()
    assert f'mmoverlock/.mim/configs/{CONFIG}' in names
    assert not [name for name in names if name.startswith(('tests', 'configs'))]


def test_wheel_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata['Name'] == 'mmoverlock'
    assert metadata['Version'] == mmoverlock.__version__
    assert metadata['Requires-Python'] == '>=3.10'
    assert 'Apache-2.0' in (metadata['License-Expression'] or metadata['License'])
    assert set(metadata.get_all('Provides-Extra')) == {
        *('all', 'analysis', 'cls', 'data', 'demo', 'deploy', 'det', 'seg', 'docs', 'tests')
    }
    classifiers = '\n'.join(metadata.get_all('Classifier'))
    tested = [int(minor) for minor in re.findall(r':: Python :: 3\.(\d+)', classifiers)]
    for page in ('README.md', 'docs/get_started.md'):
        text = (ROOT / page).read_text(encoding='utf-8')
        first, last = re.search(r'Python 3\.(\d+) to 3\.(\d+)', text).groups()
        assert tested == list(range(int(first), int(last) + 1)), page
    required = metadata.get_all('Requires-Dist')
    assert 'torch>=2.6' in required
    extras = dict(det='onedl-mmdetection', seg='onedl-mmsegmentation', analysis='captum')
    for extra, requirement in extras.items():
        for where in (extra, 'all'):
            assert any(r.startswith(requirement) and f'"{where}"' in r for r in required)
    assert any(name.endswith('/LICENSE') for name in archive.namelist())
    scripts = archive.read(name.replace('METADATA', 'entry_points.txt')).decode()
    assert 'mmoverlock = mmoverlock.cli.main:main' in scripts


def test_config_inherits_from_the_current_install(tmp_path):
    used = use_from(tmp_path)
    assert Path(used['PACKAGE']) == Path(mmoverlock.__file__)
    assert Path(used['CONFIGS']) == Path(mmoverlock.__file__).parent
    assert 1e6 < int(used['WEIGHTS']) < 2e6  # arch t, which is overridden, has about 30e6


def test_config_inherits_from_the_wheel(wheel, tmp_path):
    site = tmp_path / 'site packages'
    zipfile.ZipFile(wheel).extractall(site)
    used = use_from(tmp_path, PYTHONPATH=str(site))
    assert Path(used['PACKAGE']) == site / 'mmoverlock' / '__init__.py'
    assert Path(used['CONFIGS']) == site / 'mmoverlock'
    assert 1e6 < int(used['WEIGHTS']) < 2e6


@pytest.mark.parametrize(
    'name',
    [CONFIG, 'overlock/overlock-t_8xb256_in1k.py', 'volo/volo-d1_8xb128_in1k.py'],
)
def test_inherited_parts_mean_the_same(name, tmp_path):
    """A RandomFlip is mmdet's in a detector's config, not mmcv's, wherever the config is used."""
    (tmp_path / 'mine.py').write_text(f"_base_ = 'mmoverlock::{name}'")
    inherited = Config.fromfile(tmp_path / 'mine.py')
    ours = Config.fromfile(ROOT / 'configs' / name)
    init_default_scope(ours.default_scope)
    for key in ('train_dataloader', 'val_dataloader'):
        pairs = zip(inherited[key].dataset.pipeline, ours[key].dataset.pipeline, strict=True)
        for a, b in pairs:
            assert find_class(TRANSFORMS, a) is find_class(TRANSFORMS, b) is not None
        a, b = inherited[key].dataset, ours[key].dataset
        assert find_class(DATASETS, a) is find_class(DATASETS, b) is not None
    assert find_class(MODELS, inherited.model) is find_class(MODELS, ours.model) is not None


def test_configs_inherit_from_mmseg(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmseg::_base_/models/upernet_r50.py'")
    assert Config.fromfile(tmp_path / 'mine.py').model.decode_head.type == 'UPerHead'


def test_changelog_and_license():
    changes = (ROOT / 'CHANGELOG.md').read_text()
    newest = re.search(r'^## \[(.+?)\] - \d{4}-\d\d-\d\d$', changes, re.MULTILINE)
    assert newest.group(1) == mmoverlock.__version__
    licence = (ROOT / 'LICENSE').read_text()
    assert 'Version 2.0, January 2004' in licence and 'END OF TERMS AND CONDITIONS' in licence


def test_constraints_pin_every_requirement():
    def names(path: Path) -> set[str]:
        lines = (line.partition('#')[0].strip() for line in path.read_text().splitlines())
        return {re.split(r'[=<>;\[ ]', line)[0] for line in lines if line}

    folder = ROOT / 'requirements'
    pinned = names(folder / 'constraints.txt')
    for path in folder.glob('*.txt'):
        assert names(path) - pinned == set(), path.name
