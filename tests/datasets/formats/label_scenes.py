"""Small pictures with label images, in each layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 12, 10
DIVIDED = dict(train=range(6), val=range(6, 9))
CLASSES = 3

# Where the picture and the label image called {name} of the split {split} are.
LAYOUTS = {
    'inside': ('images/{split}/{name}.jpg', 'masks/{split}/{name}.png'),
    'inside, other names': ('img_dir/{long}/{name}.JPG', 'annotations/{long}/{name}.PNG'),
    'outside': ('{split}/images/{name}.jpg', '{split}/labels/{name}.png'),
    'digits scenes': ('{split}/{name}.png', 'semantic/{split}/{name}.png'),
    'joined': ('{split}/{name}.jpg', '{split}_labels/{name}_L.png'),
    'SegNet': ('{split}/{name}.jpg', '{split}annot/{name}.png'),
    'Roboflow': ('{short}/{name}.jpg', '{short}/{name}_mask.png'),
    'Cityscapes': (
        'leftImg8bit/{split}/town/{name}_leftImg8bit.png',
        'gtFine/{split}/town/{name}_gtFine_labelTrainIds.png',
    ),
    'nested': ('images/{split}/a b/{name}.jpg', 'masks/{split}/a b/{name}.png'),
    'upper case': ('Images/{split}/{name}.jpg', 'Masks/{split}/{name}.png'),
    'VOC': ('JPEGImages/{name}.jpg', 'SegmentationClass/{name}.png'),
}
UNDIVIDED = {
    'flat': ('images/{name}.jpg', 'labels/{name}.png'),
    'LabelMe': ('JPEGImages/{name}.jpg', 'SegmentationClassPNG/{name}.png'),
    'pictures above': ('{name}.jpg', 'masks/{name}.png'),
    'one folder': ('{name}.jpg', '{name}_seg.png'),
    'one folder below': ('images/{name}.jpg', 'images/{name}_gt.png'),
    'only train': ('images/train/{name}.jpg', 'masks/train/{name}.png'),
}
_LONG, _SHORT = dict(train='training', val='validation'), dict(train='train', val='valid')


def labels(number: int) -> np.ndarray:
    """The labels of a picture, (HEIGHT, WIDTH): each class, elsewhere in each picture."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((rows // 4 + columns // (3 + number % 4)) % CLASSES).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def lay_out(
    root: Path,
    layout: str = 'inside',
    encode: Callable[[np.ndarray], Image.Image] = Image.fromarray,
    numbers: dict[str, Iterable[int]] = DIVIDED,
) -> list[dict[str, Path]]:
    """Write pictures and their label images; return the paths of both, in the order of names."""
    if layout in UNDIVIDED:
        numbers = dict(train=range(10))
    files = []
    for split, those in numbers.items():
        for number in those:
            words = dict(split=split, long=_LONG[split], short=_SHORT[split], name=f'p{number}')
            picture, label = (
                root / place.format(**words) for place in (LAYOUTS | UNDIVIDED)[layout]
            )
            noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            save(picture, Image.fromarray(noise))
            save(label, encode(labels(number)))
            files.append(dict(picture=picture, label=label))
        if layout == 'VOC':
            path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(''.join(f'p{number}\n' for number in those))
    return files
