"""Lay out or verify the data sets: what tools/prepare_data.py calls, a function for each name.

Nothing is downloaded, deleted or overwritten. Archives that lie in the folder are unpacked there;
files that stand already are left alone.
"""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from .digits_scenes import make_digits_scenes
from .folders import read_class_ids, read_lines
from .unpack import unpack
from .verify import Expected, compare, finish, unreadable_images, verify

IMAGENET_URL = 'https://image-net.org/download-images.php'
TINY_URL = 'http://cs231n.stanford.edu/tiny-imagenet-200.zip'
PACKAGING_URL = 'https://www.kaggle.com/datasets/ambityga/imagenet100'
DEVKIT = 'ILSVRC2012_devkit_t12'


def prepare_imagenet(root: Path, check: bool = False) -> None:
    """ImageNet-1K: unpack ILSVRC2012_img_{train,val}.tar, and verify.

    The validation images come into class folders by the development kit's ground truth, or, where
    meta/val.txt labels them, into one folder.
    """
    if not check:
        train, val = (f'ILSVRC2012_img_{split}.tar' for split in ('train', 'val'))
        _need(root, 'train', train, IMAGENET_URL, lambda name: f'train/{name}')
        place = _place_val(root) if (root / val).is_file() else str
        _need(root, 'val', val, IMAGENET_URL, place)
    train = Expected(1000, 732, 1300, 1_281_167)
    val = Expected(1000, 50, 50, 50_000)
    _verify(dict(type='ImageNet', data_root=str(root)), dict(train=train, val=val), check)


def prepare_imagenet100(root: Path, check: bool = False, class_list: str | None = None) -> None:
    """ImageNet-100: verify an ImageNet-1K folder's classes, or unpack and verify the packaging."""
    if not check and not (root / 'train').is_dir():
        _need(root, 'train.X1', 'imagenet100.zip', PACKAGING_URL, str)
    number = len(read_class_ids(Path(class_list))) if class_list else 100
    cfg = dict(type='ImageNet100', data_root=str(root), class_list=class_list)
    expected = dict(train=Expected(number, 732, 1300), val=Expected(number, 50, 50))
    _verify(cfg, expected, check)


def prepare_tiny_imagenet(root: Path, check: bool = False, num_classes: int | None = None) -> None:
    """Tiny-ImageNet: unpack tiny-imagenet-200.zip, and verify, its first classes alone if asked."""
    if not check:
        _need(root, 'train', 'tiny-imagenet-200.zip', TINY_URL, lambda name: name.partition('/')[2])
    cfg = dict(type='TinyImageNet', data_root=str(root), num_classes=num_classes)
    number = 200 if num_classes is None else num_classes
    expected = dict(train=Expected(number, 500, 500), val=Expected(number, 50, 50))
    _verify(cfg, expected, check)


def prepare_cifar10(root: Path, check: bool = False) -> None:
    """CIFAR-10: unpack cifar-10-python.tar.gz, and verify its MD5 sums and counts."""
    _prepare_cifar(root, check, 'CIFAR10', 10)


def prepare_cifar100(root: Path, check: bool = False) -> None:
    """CIFAR-100: unpack cifar-100-python.tar.gz, and verify its MD5 sums and counts."""
    _prepare_cifar(root, check, 'CIFAR100', 100)


def prepare_digits(check: bool = False) -> None:
    """Digits: nothing to lay out; verify."""
    expected = dict(train=Expected(10, 139, 146, 1437), val=Expected(10, 35, 37, 360))
    _verify(dict(type='Digits'), expected, check)


def prepare_digits_scenes(root: Path, check: bool = False, **settings: int) -> None:
    """Digits scenes: make them, see :func:`make_digits_scenes`, or verify what is there."""
    if not check:
        make_digits_scenes(root, **settings)
        return
    meta = _json(root / 'meta.json')
    problems = []
    for split in ('train', 'val'):
        number, total = meta[f'num_{split}'], meta['instances'][split]
        content = _json(root / 'annotations' / f'instances_{split}.json')
        names = {one['id']: one['name'] for one in content['categories']}
        counts = Counter(names[one['category_id']] for one in content['annotations'])
        problems += compare(f'{split} digits', counts, Expected(10, 1, total, total))
        for folder in (root / split, root / 'semantic' / split):
            paths = [str(folder / one['file_name']) for one in content['images']]
            if len(paths) != number:
                problems.append(f'{split}: {len(paths)} images listed, expected {number}')
            problems += unreadable_images(paths, str(folder))
    finish(problems)


PREPARERS: dict[str, Callable] = {
    'imagenet': prepare_imagenet,
    'imagenet100': prepare_imagenet100,
    'tiny-imagenet': prepare_tiny_imagenet,
    'cifar10': prepare_cifar10,
    'cifar100': prepare_cifar100,
    'digits': prepare_digits,
    'digits_scenes': prepare_digits_scenes,
}


def _prepare_cifar(root: Path, check: bool, kind: str, classes: int) -> None:
    from mmpretrain import datasets

    found = getattr(datasets, kind)
    if not check:
        _need(root, found.base_folder, found.filename, found.url, str)
    cfg = dict(type=kind, data_root=str(root), download=False)
    per_class = dict(train=50_000 // classes, test=10_000 // classes)
    _verify(cfg, {s: Expected(classes, n, n) for s, n in per_class.items()}, check)


def _verify(cfg: Mapping[str, Any], expected: Mapping[str, Expected], check: bool) -> None:
    verify({split: (dict(cfg, split=split), one) for split, one in expected.items()}, check)
    if not check and cfg.get('data_root') and 'CIFAR' not in cfg['type']:
        print_log('the images were counted, not decoded (check=False)', logger='current')


def _need(
    root: Path, part: str, archive: str, url: str, place: Callable[[str], str | None]
) -> None:
    """Unpack the archive if it lies in `root`; else there must be what it holds, `part`."""
    if (root / archive).is_file():
        number = unpack(root / archive, root, place)
        print_log(f'{archive}: {number} files written to {root}', logger='current')
    elif not (root / part).is_dir():
        raise ValueError(
            f"neither '{root / part}' nor the archive '{root / archive}' exists: "
            f'download {archive} ({url}) into {root} and run this again'
        )


def _place_val(root: Path) -> Callable[[str], str]:
    """Where the flat archive of ImageNet's validation images puts each."""
    devkit = root / f'{DEVKIT}.tar.gz'
    if (root / 'meta' / 'val.txt').is_file():
        return lambda name: f'val/{name}'
    if not devkit.is_file():
        raise ValueError(
            f'the validation images need labels: download {DEVKIT}.tar.gz ({IMAGENET_URL}), or '
            f"lay mmpretrain's meta/val.txt, into {root}"
        )
    folders = _ground_truth(devkit)
    # ILSVRC2012_val_00000001.JPEG is the first
    return lambda name: f'val/{folders[int(name.rpartition("_")[2].split(".")[0]) - 1]}/{name}'


def _ground_truth(devkit: Path) -> list[str]:
    """The class ids of the validation images, from the development kit."""
    from scipy.io import loadmat  # here, because only this needs it

    try:
        with tarfile.open(devkit) as archive:
            meta = archive.extractfile(f'{DEVKIT}/data/meta.mat').read()
            truth = archive.extractfile(f'{DEVKIT}/data/ILSVRC2012_validation_ground_truth.txt')
            numbers = [int(line) for line in truth.read().split()]
    except (tarfile.TarError, KeyError, EOFError, OSError, ValueError) as error:
        raise ValueError(f"archive '{devkit}' is damaged, download it again ({error})") from error
    synsets = loadmat(io.BytesIO(meta), squeeze_me=True)['synsets']
    ids = {int(one['ILSVRC2012_ID']): str(one['WNID']) for one in synsets}
    return [ids[number] for number in numbers]


def _json(path: Path) -> Any:
    text = '\n'.join(read_lines(path, 'file'))
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
