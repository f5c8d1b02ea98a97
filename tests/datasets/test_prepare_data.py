"""tools/prepare_data.py, run as a user would: one clear line when something is wrong."""

import hashlib
import io
import runpy
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmoverlock.datasets import make_digits_scenes, verify
from mmoverlock.datasets.catalog import CATALOG, Expected
from mmoverlock.datasets.prepare import prepare

from .. import fake_data

TOOL = Path(__file__).parents[2] / 'tools' / 'prepare_data.py'


def test_makes_the_data_from_any_directory(tmp_path):
    args = ['digits_scenes', '--num-train', '3', '--num-val', '2', '--seed', '5']
    command = [sys.executable, str(TOOL), *args]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    root = tmp_path / 'data' / 'digits_scenes'
    assert len(list((root / 'train').iterdir())) == 3
    assert len(list((root / 'val').iterdir())) == 2
    assert '"seed":5' in (root / 'meta.json').read_text()


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['digits_scenes', '--root', '.'], 'is not a digits scenes folder'),
        (['digits_scenes', '--num-val', '0'], 'num_val must be an integer of at least 1, got 0'),
        (['digits_scenes', '--seed', 'x'], "argument --seed: invalid int value: 'x'"),
        (['no_such_data'], "invalid choice: 'no_such_data'"),
        (['digits', '--root', '.'], '--root is no option of digits'),
        (['imagenet', '--seed', '1'], '--seed is no option of imagenet'),
        (['digits_scenes', '--check', '--num-val', '1'], '--num-val is no option of digits_scenes'),
        (['digits_scenes', '--check'], "file 'data/digits_scenes/meta.json' does not exist"),
        (['digits_scenes', '--check', '--layout', 'voc'], '--layout is no option of digits_scenes'),
        (['digits_scenes', '--layout', 'xml'], "argument --layout: invalid choice: 'xml'"),
        (['imagenet'], 'download ILSVRC2012_img_train.tar (https://image-net.org/'),
        (['imagenet', '--check'], "No such file or directory: 'data/imagenet/train'"),
        (['imagenet100'], "nor the archive 'data/imagenet/imagenet100.zip' exists"),
        (
            ['imagenet100', '--class-list', 'no.txt'],
            "nor the archive 'data/imagenet/imagenet100.zip'",
        ),
        (['tiny-imagenet'], "nor the archive 'data/tiny-imagenet/tiny-imagenet-200.zip' exists"),
        (['cifar10'], "nor the archive 'data/cifar10/cifar-10-python.tar.gz' exists"),
        (['cifar100', '--check'], "'data/cifar100/cifar-100-python/train' does not exist"),
    ],
)
def test_bad_input_ends_in_one_line(tmp_path, monkeypatch, capsys, args, message):
    (tmp_path / 'thesis.txt').write_text('years of work')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['prepare_data.py', *args])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and message in line
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.txt']


def expect(
    monkeypatch, name: str, classes: int, low: int, high: int = 0, images: int | None = None
) -> None:
    """Let a data set of the catalogue be as small as the made-up one."""
    row, expected = CATALOG[name], Expected(classes, low, high or low, images)
    monkeypatch.setitem(CATALOG, name, replace(row, splits=dict.fromkeys(row.splits, expected)))


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def zipped(folder: Path, archive: Path, top: str = '') -> None:
    with zipfile.ZipFile(archive, 'w') as file:
        for name, content in files(folder).items():
            file.writestr(top + name, content)


def tarred(folder: Path, archive: Path, top: str = '') -> None:
    with tarfile.open(archive, 'w:gz' if archive.suffix == '.gz' else 'w') as file:
        for path in sorted(folder.iterdir()):
            file.add(path, top + path.name)


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What verifying logs."""
    lines = []
    monkeypatch.setattr(verify, 'log', lines.append)
    return lines


def test_digits(told):
    prepare('digits')
    output = '\n'.join(told)
    assert 'train: 10 classes, 1437 images' in output and 'val: 10 classes, 360 images' in output


def test_tiny_imagenet_from_its_archive(tmp_path, monkeypatch):
    expect(monkeypatch, 'tiny-imagenet', 6, 2)
    source = fake_data.tiny_imagenet(tmp_path / 'source', classes=6, images=2)
    root = tmp_path / 'root'
    root.mkdir()
    zipped(source, root / 'tiny-imagenet-200.zip', 'tiny-imagenet-200/')
    (root / 'words.txt').write_text("the user's own")
    prepare('tiny-imagenet', root)
    kept = {'words.txt': b"the user's own"}
    archive = {'tiny-imagenet-200.zip': (root / 'tiny-imagenet-200.zip').read_bytes()}
    assert files(root) == {**files(source), **kept, **archive}
    prepare('tiny-imagenet', root, check=True)


def test_imagenet_from_its_archives(tmp_path, monkeypatch):
    """A tar of tars to train on, a flat one to validate, the labels in the development kit."""
    from scipy.io import savemat
    from torchvision.datasets.imagenet import ARCHIVE_META

    expect(monkeypatch, 'imagenet', 1000, 1)
    ids = fake_data.wnids(1000)
    source, root = tmp_path / 'source', tmp_path / 'root'
    fake_data.imagenet(source, size=(4, 4))
    flat, tars, data = (tmp_path / name for name in ('flat', 'tars', 'data'))
    for folder in (root, flat, tars, data):
        folder.mkdir()
    for one in ids:
        tarred(source / 'train' / one, tars / f'{one}.tar')
    tarred(tars, root / 'ILSVRC2012_img_train.tar')
    # The numbers of the development kit are not in the order of the class ids.
    number = {one: 1000 - i for i, one in enumerate(ids)}
    order = np.random.default_rng(0).permutation(ids)
    for i, one in enumerate(order, 1):
        picture = source / 'val' / one / f'{one}_0.JPEG'
        (flat / f'ILSVRC2012_val_{i:08d}.JPEG').write_bytes(picture.read_bytes())
    tarred(flat, root / 'ILSVRC2012_img_val.tar')
    columns = ('ILSVRC2012_ID', 'WNID', 'words', 'gloss', 'num_children')
    rows = [(number[one], one, 'a thing', '', 0) for one in ids] + [(1001, 'n0', 'all', '', 1000)]
    kind = [(column, object) for column in columns]
    savemat(data / 'meta.mat', dict(synsets=np.array(rows, kind)))
    truth = ''.join(f'{number[one]}\n' for one in order)
    (data / 'ILSVRC2012_validation_ground_truth.txt').write_text(truth)
    with pytest.raises(ValueError, match='need labels: download ILSVRC2012_devkit_t12.tar.gz'):
        prepare('imagenet', root)
    devkit = root / 'ILSVRC2012_devkit_t12.tar.gz'
    tarred(data, devkit, 'ILSVRC2012_devkit_t12/data/')
    with pytest.raises(ValueError, match=f"archive '{devkit}' is damaged, download it again"):
        prepare('imagenet', root)  # its MD5 sum is not the published one
    md5 = hashlib.md5(devkit.read_bytes()).hexdigest()
    monkeypatch.setitem(ARCHIVE_META, 'devkit', (devkit.name, md5))
    prepare('imagenet', root)
    assert files(root / 'train') == files(source / 'train')
    for i, one in enumerate(order, 1):
        unpacked = root / 'val' / one / f'ILSVRC2012_val_{i:08d}.JPEG'
        picture = source / 'val' / one / f'{one}_0.JPEG'
        assert unpacked.read_bytes() == picture.read_bytes()


def test_imagenet100_packaging_and_list(tmp_path, monkeypatch):
    expect(monkeypatch, 'imagenet100', 8, 1)
    source = fake_data.imagenet100(tmp_path / 'source', classes=8)
    root = tmp_path / 'root'
    root.mkdir()
    zipped(source, root / 'imagenet100.zip')
    prepare('imagenet100', root)
    prepare('imagenet100', root, check=True)
    (tmp_path / 'list.txt').write_text('\n'.join(fake_data.wnids(3)))
    prepare('imagenet100', root, class_list=str(tmp_path / 'list.txt'))


@pytest.mark.parametrize('classes', [10, 100])
def test_cifar_from_its_archive(tmp_path, monkeypatch, classes):
    name = f'cifar{classes}'
    expect(monkeypatch, name, classes, 1, high=5)
    source = fake_data.cifar(tmp_path / 'source', classes, classes, monkeypatch)
    root = tmp_path / 'root'
    root.mkdir()
    tarred(source, root / f'cifar-{classes}-python.tar.gz')
    prepare(name, root)
    assert len(files(root)) == len(files(source)) + 1
    (damaged,) = list(root.glob('*/test*'))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"'{damaged}' is damaged: its MD5 sum is"):
        prepare(name, root)
    assert damaged.read_bytes() != files(source)[str(damaged.relative_to(root))]  # left alone


def test_everything_wrong_is_told(tmp_path, monkeypatch, told):
    expect(monkeypatch, 'tiny-imagenet', 5, 3, images=15)
    root = fake_data.tiny_imagenet(tmp_path, classes=4, images=3)
    folder = root / 'train/n00000002/images'
    (folder / 'n00000002_0.JPEG').write_bytes(b'')
    picture = folder / 'n00000002_1.JPEG'
    picture.write_bytes(picture.read_bytes()[:-400])
    (root / 'train/n00000003/images/n00000003_2.JPEG').unlink()
    (root / 'val/images/val_0.JPEG').write_bytes(b'no picture')
    before = files(root)
    with pytest.raises(ValueError, match='train: 4 classes, expected 5; and 7 more, see above'):
        prepare('tiny-imagenet', root, check=True)
    output = '\n'.join(told)
    assert 'train: 11 images, expected 15' in output
    assert "train: 1 classes do not have 3 images each: 'n00000003' 2" in output
    assert f"train: '{folder}/n00000002_0.JPEG': it is empty (0 bytes)" in output
    assert f"train: '{picture}': it is cut short" in output
    assert f"val: '{root}/val/images/val_0.JPEG': it is damaged, or no image" in output
    assert files(root) == before


@pytest.mark.parametrize('keep', [0.0, 0.5, 0.99])
def test_damaged_archive(tmp_path, keep):
    source = fake_data.tiny_imagenet(tmp_path / 'source', classes=2)
    root = tmp_path / 'root'
    root.mkdir()
    zipped(source, root / 'tiny-imagenet-200.zip', 'tiny-imagenet-200/')
    tarred(source, root / 'cifar-10-python.tar.gz')
    for name in ('tiny-imagenet', 'cifar10'):
        archive = root / CATALOG[name].archives[0].name
        whole = archive.read_bytes()
        archive.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(ValueError, match=f"archive '{archive}' is damaged, download it again"):
            prepare(name, root)
    whole = files(source)
    for name, content in files(root).items():
        if not name.startswith(('tiny', 'cifar')):
            assert content == whole[name.removeprefix('tiny-imagenet-200/')], name  # no part of one


@pytest.mark.parametrize('name', ['../evil.txt', '/evil.txt', 'train/../../evil.txt'])
def test_archive_may_not_leave_the_folder(tmp_path, name):
    root = tmp_path / 'root'
    root.mkdir()
    with tarfile.open(root / 'cifar-10-python.tar.gz', 'w:gz') as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=f"names '{name}', outside of the folder"):
        prepare('cifar10', root)
    assert not list(tmp_path.rglob('evil.txt'))


def test_digits_scenes_checked(tmp_path):
    root = make_digits_scenes(tmp_path / 'data', num_train=12, num_val=8, image_size=64)
    prepare('digits_scenes', root, check=True)
    (root / 'val/000001.png').write_bytes(b'')
    (root / 'semantic/train/000002.png').unlink()
    with pytest.raises(ValueError, match="000002.png': it does not exist; and 1 more, see above"):
        prepare('digits_scenes', root, check=True)
