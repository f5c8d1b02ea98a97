"""Small made-up data in each data set's real layout on disk."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.registry import DATASETS
from PIL import Image

from mmoverlock.datasets.catalog import CATALOG
from mmoverlock.datasets.imagenet100 import STANDARD_LIST

STANDARD_IDS = STANDARD_LIST.read_text().split()


def wnids(number: int) -> list[str]:
    """Class ids that look like ImageNet's, in lexical order."""
    return [f'n{i:08d}' for i in range(1, number + 1)]


def picture(path: Path, size: tuple[int, int] = (40, 32), seed: int = 0) -> Path:
    """Write a picture of noise, (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def class_folders(
    root: Path, class_ids: Iterable[str], images: int = 1, size: tuple[int, int] = (40, 32)
) -> Path:
    """``root/<class id>/<class id>_<i>.JPEG``."""
    for label, one in enumerate(class_ids):
        for i in range(images):
            picture(root / one / f'{one}_{i}.JPEG', size, label * images + i)
    return root


def imagenet(
    root: Path,
    class_ids: Iterable[str] = (),
    images: int = 1,
    meta: bool = False,
    size: tuple[int, int] = (40, 32),
) -> Path:
    """ImageNet-1K: a folder for each of 1,000 classes or the given ones.

    With `meta`, val is one folder without subfolders, labelled by meta/val.txt: the first image
    has label 0, the second 1, and so on.
    """
    class_ids = list(class_ids) or wnids(1000)
    class_folders(root / 'train', class_ids, images, size)
    if not meta:
        class_folders(root / 'val', class_ids, images, size)
        return root
    names = [f'ILSVRC2012_val_{i:08d}.JPEG' for i in range(1, len(class_ids) * images + 1)]
    for i, name in enumerate(names):
        picture(root / 'val' / name, size, seed=i)
    lines = [f'{name} {i % len(class_ids)}\n' for i, name in enumerate(names)]
    (root / 'meta').mkdir()
    (root / 'meta' / 'val.txt').write_text(''.join(lines))
    return root


def imagenet100(root: Path, images: int = 1, classes: int = 100) -> Path:
    """ImageNet-100's packaging: train.X1 .. train.X4, val.X and Labels.json."""
    class_ids = wnids(classes)
    quarter = -(-classes // 4)
    for part in range(4):
        folder = root / f'train.X{part + 1}'
        class_folders(folder, class_ids[part * quarter : (part + 1) * quarter], images)
    class_folders(root / 'val.X', class_ids, images)
    names = {one: f'thing {i}, object {i}' for i, one in enumerate(class_ids)}
    (root / 'Labels.json').write_text(json.dumps(names))
    return root


def tiny_imagenet(root: Path, classes: int = 200, images: int = 1) -> Path:
    """Tiny-ImageNet, 64x64; wnids.txt is not sorted, as in the original."""
    ids, lines = wnids(classes), []
    for label, one in enumerate(ids):
        for i in range(images):
            name = f'{one}_{i}.JPEG'
            picture(root / 'train' / one / 'images' / name, (64, 64), label * images + i)
            name = f'val_{label * images + i}.JPEG'
            picture(root / 'val' / 'images' / name, (64, 64), label * images + i)
            lines.append(f'{name}\t{one}\t0\t0\t62\t62\n')
    (root / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    (root / 'wnids.txt').write_text('\n'.join(reversed(ids)) + '\n')
    words = ''.join(f'{one}\tthing {i}, object {i}\n' for i, one in enumerate(ids))
    (root / 'words.txt').write_text('n99999999\tsomething else\n' + words)
    return root


def cifar(root: Path, classes: int, images: int = 20, monkeypatch=None) -> Path:
    """CIFAR-10 or CIFAR-100, unpacked: pickles of so many images each.

    mmpretrain compares the files with the published MD5 sums. With pytest's `monkeypatch`, those of
    these files take their place, so that the check works as ever.
    """
    from mmpretrain.datasets import CIFAR10, CIFAR100

    kind = {10: CIFAR10, 100: CIFAR100}[classes]
    key = {10: 'labels', 100: 'fine_labels'}[classes]
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lists = dict(train_list=kind.train_list, test_list=kind.test_list)
    for attribute, entries in lists.items():
        sums = []
        for name, _ in entries:
            data = rng.integers(0, 256, (images, 3 * 32 * 32), dtype=np.uint8)
            batch = {'data': data, key: [i % classes for i in range(images)]}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
            sums.append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
        if monkeypatch:
            monkeypatch.setattr(kind, attribute, sums)
    return root


MAKERS = dict(
    ImageNet=imagenet,
    ImageNet100=imagenet100,
    TinyImageNet=tiny_imagenet,
    CIFAR10=partial(cifar, classes=10),
    CIFAR100=partial(cifar, classes=100),
)


def lay_out(kind: str, root: Path, monkeypatch) -> Path | None:
    """Made-up data for a registered data set of mmpretrain's kind, or None if it needs no folder.

    Without a maker here, what the data set reads from the disk is replaced: four pictures of noise.
    """
    rows = [row for row in CATALOG.values() if row.config.get('type') == kind]
    if rows and not any(row.root for row in rows):
        return None
    if kind in MAKERS:
        needed = dict(monkeypatch=monkeypatch) if kind.startswith('CIFAR') else {}
        return MAKERS[kind](root, **needed)
    number = rows[0].splits['train'].classes if rows else 2
    pictures = [picture(root / f'{i}.png', (64, 64), seed=i) for i in range(4)]

    def load_data_list(self) -> list[dict]:
        self._metainfo.setdefault('classes', tuple(map(str, range(number))))
        samples = [
            (str(path), np.asarray(Image.open(path)), i % 2) for i, path in enumerate(pictures)
        ]
        return [dict(img_path=path, img=image, gt_label=label) for path, image, label in samples]

    with DATASETS.switch_scope_and_registry('mmpretrain') as registry:
        monkeypatch.setattr(registry.get(kind), 'load_data_list', load_data_list)
    return root
