"""The data sets that can be prepared, one row each: where they come from and what they must hold.

A row is all that tools/prepare_data.py, the checks before a run and the tests know of a data set.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .digits_scenes import check_digits_scenes, make_digits_scenes
from .verify import Expected

IMAGENET_URL = 'https://image-net.org/download-images.php'
IMAGENET100_URL = 'https://www.kaggle.com/datasets/ambityga/imagenet100'
TINY_URL = 'http://cs231n.stanford.edu/tiny-imagenet-200.zip'
CIFAR_URL = 'https://www.cs.toronto.edu/~kriz/'
DEVKIT = 'ILSVRC2012_devkit_t12.tar.gz'


@dataclass(frozen=True)
class Archive:
    """A file that users download into a data set's folder, to be unpacked there.

    Args:
        name: Its file name.
        url: Where it is offered.
        holds: A folder that unpacking it makes; where that exists the archive is not needed.
        place: Data set's folder -> name in the archive -> path below the folder; by default the
            name itself. The outer call may raise ValueError if another file is needed too.
        unless: A folder of another layout that makes the archive superfluous.
    """

    name: str
    url: str
    holds: str
    place: Callable[[Path], Callable[[str], str]] = lambda root: str
    unless: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A row of the catalogue.

    Args:
        config: Of the registered data set, without its folder and split.
        splits: What each split must hold.
        root: The usual folder; None for a data set that needs none.
        archives: What is unpacked into the folder.
        options: Arguments of the data set, or of `make`, that :func:`prepare` accepts.
            `num_classes` and `class_list` also change the number of classes that is expected.
        make: Makes the data set in a folder, instead of archives.
        check: Verifies a folder, instead of building `config` and counting by `splits`.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Expected] = field(default_factory=dict)
    root: str | None = None
    archives: tuple[Archive, ...] = ()
    options: tuple[str, ...] = ()
    make: Callable[..., Any] | None = None
    check: Callable[[Path], None] | None = None

    def allowed(self, check: bool) -> set[str]:
        """The options that :func:`prepare` accepts, those of `make` only if it is called."""
        return set() if check and self.make else {*self.options}


def remedy(path: str) -> str | None:
    """How to lay out the data set that a missing path seems to belong to, or None."""
    found = [name for name, row in CATALOG.items() if row.root and name in path]
    if not found:
        return None
    name = max(found, key=len)  # imagenet100 rather than imagenet
    command = f'python tools/prepare_data.py {name}'
    return f'make it with: {command}' if CATALOG[name].make else f'see: {command} --root ROOT'


def _below(folder: str) -> Callable[[Path], Callable[[str], str]]:
    return lambda root: lambda name: f'{folder}/{name}'


def _without_top(root: Path) -> Callable[[str], str]:
    return lambda name: name.partition('/')[2]


def _imagenet_val(root: Path) -> Callable[[str], str]:
    """ImageNet's validation images lie flat; the development kit says which class each has."""
    if (root / 'meta/val.txt').is_file():
        return lambda name: f'val/{name}'
    devkit = root / DEVKIT
    if not devkit.is_file():
        raise ValueError(
            f'the validation images need labels: download {DEVKIT} ({IMAGENET_URL}), or '
            f"lay mmpretrain's meta/val.txt, into {root}"
        )
    from torchvision.datasets import imagenet  # here, because only this needs it and SciPy

    with tempfile.TemporaryDirectory() as scratch:
        try:
            imagenet.parse_devkit_archive(scratch, str(devkit.resolve()))
        except RuntimeError as error:  # its MD5 sum is wrong
            raise ValueError(f"archive '{devkit}' is damaged, download it again") from error
        _, class_ids = imagenet.load_meta_file(scratch)
    # ILSVRC2012_val_00000001.JPEG is the first
    return lambda name: f'val/{class_ids[int(Path(name).stem.rpartition("_")[2]) - 1]}/{name}'


def _cifar(classes: int, folder: str) -> DataSet:
    name, train, test = f'cifar-{classes}-python.tar.gz', 50_000 // classes, 10_000 // classes
    return DataSet(
        dict(type=f'CIFAR{classes}', download=False),
        dict(train=Expected(classes, train, train), test=Expected(classes, test, test)),
        root=f'data/cifar{classes}',
        archives=(Archive(name, CIFAR_URL + name, folder),),
    )


CATALOG = {
    'imagenet': DataSet(
        dict(type='ImageNet'),
        dict(train=Expected(1000, 732, 1300, 1_281_167), val=Expected(1000, 50, 50, 50_000)),
        root='data/imagenet',
        archives=(
            Archive('ILSVRC2012_img_train.tar', IMAGENET_URL, 'train', _below('train')),
            Archive('ILSVRC2012_img_val.tar', IMAGENET_URL, 'val', _imagenet_val),
        ),
    ),
    # Out of an ImageNet-1K folder, or the packaging.
    'imagenet100': DataSet(
        dict(type='ImageNet100'),
        dict(train=Expected(100, 732, 1300), val=Expected(100, 50, 50)),
        root='data/imagenet',
        archives=(Archive('imagenet100.zip', IMAGENET100_URL, 'train.X1', unless='train'),),
        options=('class_list',),
    ),
    'tiny-imagenet': DataSet(
        dict(type='TinyImageNet'),
        dict(train=Expected(200, 500, 500), val=Expected(200, 50, 50)),
        root='data/tiny-imagenet',
        archives=(Archive('tiny-imagenet-200.zip', TINY_URL, 'train', _without_top),),
        options=('num_classes',),
    ),
    'cifar10': _cifar(10, 'cifar-10-batches-py'),
    'cifar100': _cifar(100, 'cifar-100-python'),
    'digits': DataSet(
        dict(type='Digits'),
        dict(train=Expected(10, 139, 146, 1437), val=Expected(10, 35, 37, 360)),
    ),
    'digits_scenes': DataSet(
        root='data/digits_scenes',
        options=('num_train', 'num_val', 'seed', 'layout'),
        make=make_digits_scenes,
        check=check_digits_scenes,
    ),
}
