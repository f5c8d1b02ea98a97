"""docker/Dockerfile's steps carried out in a clean Debian, then the guide's commands in the result.

Takes twelve minutes and 10 GB: only where MMOVERLOCK_TEST_DOCKERFILE is set, see docs/guides/docker.md.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..user import ROOT
from .interpreter import Image, is_ignored

# Nobody the image knows, as with `docker run --user`.
USER = '4321:4321'
BASE = os.environ.get('MMOVERLOCK_TEST_DOCKERFILE', '')

needs_base = pytest.mark.skipif(
    not BASE or os.geteuid() != 0,
    reason='carrying out the Dockerfile needs root, and a Debian in MMOVERLOCK_TEST_DOCKERFILE',
)


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp('image') / 'root'
    try:
        subprocess.run(['cp', '-a', BASE, root], check=True)
        index = os.environ.get('MMOVERLOCK_TEST_TORCH_INDEX', '')
        image = Image(root, Path(ROOT), {'TORCH_INDEX': index})
        image.build((Path(ROOT) / 'docker/Dockerfile').read_text())
        yield image
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope='module')
def run(image, tmp_path_factory):
    """``docker run --user ... -v ...``: what the command printed. It must succeed."""
    folders = {}
    for path in ('/work/data', '/work/work_dirs', '/work/drawn', '/cache'):
        name = Path(path).name
        folders[name] = tmp_path_factory.mktemp(name), path
        os.chown(folders[name][0], *map(int, USER.split(':')))

    def run(*command: str) -> str:
        done = image.run(*command, user=USER, volumes=dict(folders.values()), shm='2g')
        assert done.returncode == 0, f'{command}\n{done.stdout}'
        return done.stdout

    run.folders = {name: folder for name, (folder, _) in folders.items()}
    return run


@needs_base
def test_base_is_of_the_image_s_release(image):
    release = (image.root / 'etc/os-release').read_text()
    name = image.base.rpartition('-')[2]
    assert f'VERSION_CODENAME={name}\n' in release


@needs_base
def test_without_a_command_it_shows_the_commands(run):
    assert 'doctor' in run()


@needs_base
def test_the_doctor_finds_nothing_that_stops_work(image, run):
    alone = image.run('doctor')  # the image's own user, nothing mounted
    assert alone.returncode == 0, alone.stdout
    assert 'All that is needed works' in run('doctor')


@needs_base
def test_the_guide_s_commands(run):
    """The quickstart's, with few images and two iterations; then inference."""
    config = '/app/configs/quickstart/mask-rcnn_overlock-xxt_fpn_digits.py'
    run('prepare', 'digits_scenes', '--num-train', '16', '--num-val', '4')
    run('train', config, '--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2')
    checkpoint = 'work_dirs/mask-rcnn_overlock-xxt_fpn_digits/iter_2.pth'
    run('test', config, checkpoint, '--eval', 'bbox', 'segm')
    image = 'data/digits_scenes/val/000000.png'
    run('infer', config, checkpoint, image, '--out', 'drawn')
    drawn = [path for path in run.folders['drawn'].rglob('*') if path.is_file()]
    assert drawn and all(path.stat().st_uid == int(USER.split(':')[0]) for path in drawn)


@pytest.mark.parametrize(
    'path, ignored',
    [
        ('a/x.py', False),
        ('a/b/__pycache__/x.pyc', True),
        ('a/x.pth', True),
        ('a/.mim/x.py', True),
        ('b/x.py', True),
        ('x.py', True),
        ('ab/x.py', True),
    ],
)
def test_dockerignore(path, ignored):
    assert is_ignored(path, ['**', '!a', 'a/.mim', '**/__pycache__', '**/*.pth']) == ignored
