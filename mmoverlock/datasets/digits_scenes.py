"""Digits scenes: pictures of scanned digits with boxes, instance masks and semantic maps.

A small real data set that needs no download. The 1,797 hand-written digits that ship with
scikit-learn (8x8 scans of the UCI "Optical Recognition of Handwritten Digits" data, E. Alpaydin
and C. Kaynak, 1998, CC BY 4.0) are enlarged, turned, coloured, textured and laid over each other
and over clutter; see compose.py.
"""

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress

from mmoverlock.utils.errors import shown

from .compose import Digit, compose_scene
from .digits_scenes_layouts import LAYOUTS
from .folders import SPLITS, read_json
from .verify import Expected, compare, finish, unreadable_images

_COLOURS = 'e6194b 3cb44b ffe119 0082c8 f58230 911eb4 46f0f0 f032e6 d2f53c fabed4'
DIGITS_SCENES_METAINFO = dict(
    classes=tuple('0123456789'),
    palette=[tuple(bytes.fromhex(colour)) for colour in _COLOURS.split()],
)

RECORD = '.digits_scenes.json'  # the settings of a folder in another layout
VERSION = 1  # raise when the same settings no longer give the same bytes
VAL_FRACTION = 0.25  # of the scans
MIN_IMAGE_SIZE = 64
LICENSE = (
    "CC BY 4.0 (scikit-learn's digits: UCI Optical Recognition of Handwritten Digits, "
    'E. Alpaydin and C. Kaynak, 1998)'
)


def make_digits_scenes(
    root: str | Path,
    num_train: int = 1000,
    num_val: int = 200,
    image_size: int = 160,
    seed: int = 0,
    layout: str | None = None,
) -> Path:
    """Write the data set in COCO format, or reuse it where it already stands.

    Under ``root``: ``{train,val}/000000.png`` (image_size x image_size, 3 channels),
    ``annotations/instances_{train,val}.json`` (compressed RLE masks of the visible part; category
    ids 1..10 named '0'..'9'; each annotation's ``scan`` is its index in ``load_digits()``),
    ``semantic/{train,val}/000000.png`` (uint8: 0 background, digit + 1 elsewhere) and
    ``meta.json`` (settings and counts). Training and validation use different scans. Picture i of
    a split depends on the seed, the size and i alone, not on how many pictures are made.

    The folder appears under its name only when complete.

    Args:
        root: Folder to make; its parents are made too.
        num_train: Number of training pictures, at least 1.
        num_val: Number of validation pictures, at least 1.
        image_size: Side of the square pictures in pixels, at least 64.
        seed: Any integer from 0.
        layout: A key of :data:`LAYOUTS`, to write what a user's folder in that format has instead
            of the files above; see digits_scenes_layouts.py.

    Returns:
        ``root`` as a Path.

    Raises:
        ValueError: A number is out of range, there is no such layout, or ``root`` holds anything
            other than exactly this data set; what is there is left untouched.
    """
    root = Path(root)
    settings = dict(
        name='digits_scenes',
        version=VERSION,
        num_train=_at_least('num_train', num_train, 1),
        num_val=_at_least('num_val', num_val, 1),
        image_size=_at_least('image_size', image_size, MIN_IMAGE_SIZE),
        seed=_at_least('seed', seed, 0),
    )
    if layout is not None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout='{layout}' is none of {shown(LAYOUTS, limit=len(LAYOUTS))}")
        settings['layout'] = layout
    if _stands_at(root, settings):
        print_log(f'digits scenes: reusing {root}', logger='current')
        return root

    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}-') as scratch:
        unfinished = Path(scratch, 'unfinished')
        _write(unfinished, settings)
        if layout is not None:
            scenes = unfinished.rename(Path(scratch, 'scenes'))
            LAYOUTS[layout](scenes, unfinished)
            _save_json(unfinished / RECORD, {**settings, 'files': _count_files(unfinished)})
        try:
            unfinished.rename(root)
        except OSError:  # another process may have finished the same data set meanwhile
            if not _stands_at(root, settings):
                raise
    print_log(f'digits scenes: {num_train} + {num_val} pictures in {root}', logger='current')
    return root


def check_digits_scenes(root: str | Path) -> None:
    """Count what a folder of digits scenes holds, log it, and decode every picture.

    Raises:
        ValueError: naming everything that is wrong.
    """
    root = Path(root)
    meta = read_json(root / 'meta.json')
    problems = []
    for split in SPLITS:
        number, total = meta[f'num_{split}'], meta['instances'][split]
        content = read_json(root / 'annotations' / f'instances_{split}.json')
        names = {one['id']: one['name'] for one in content['categories']}
        counts = Counter(names[one['category_id']] for one in content['annotations'])
        problems += compare(f'{split} digits', counts, Expected(10, 1, total, total))
        for folder in (root / split, root / 'semantic' / split):
            paths = [str(folder / one['file_name']) for one in content['images']]
            if len(paths) != number:
                problems.append(f'{split}: {len(paths)} images listed, expected {number}')
            problems += unreadable_images(paths, str(folder))
    finish(problems)


def _at_least(name: str, value: int, low: int) -> int:
    if not isinstance(value, int) or value < low:
        raise ValueError(f'{name} must be an integer of at least {low}, got {value!r}')
    return value


def _stands_at(root: Path, settings: dict) -> bool:
    """Whether ``root`` is this data set (True) or free (False); anything else raises."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    advice = 'choose another folder or remove this one'
    try:
        record = RECORD if 'layout' in settings else 'meta.json'
        meta = json.loads((root / record).read_text('utf-8'))
        found = {key: meta[key] for key in settings}
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f'{root} exists and is not a digits scenes folder: {advice}') from None
    odd = [key for key, value in settings.items() if found[key] != value]
    if odd:
        different = [f'{key}={found[key]} (asked: {settings[key]})' for key in odd]
        raise ValueError(f'{root} was made with {", ".join(different)}: {advice}')
    if 'layout' in settings:
        if _count_files(root) != meta['files'] + 1:  # and the record
            raise ValueError(f'{root} has lost some of its files, or got others: {advice}')
        return True
    for split in SPLITS:
        pictures = [root / split, root / 'semantic' / split]
        whole = all(len(list(d.glob('*.png'))) == settings[f'num_{split}'] for d in pictures)
        if not whole or not (root / 'annotations' / f'instances_{split}.json').is_file():
            raise ValueError(f'{root} has lost some of its {split} files: {advice}')
    return True


def _count_files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob('*'))


def load_scans(val_fraction: float, seed: int) -> tuple[Any, list[np.ndarray]]:
    """scikit-learn's digits, and the indices of the scans of the two splits, stratified."""
    from sklearn.datasets import load_digits  # here, because it takes a second to import
    from sklearn.model_selection import train_test_split

    data = load_digits()
    options = dict(test_size=val_fraction, random_state=seed, stratify=data.target)
    return data, train_test_split(np.arange(len(data.target)), **options)


def _write(root: Path, settings: dict) -> None:
    data, indices = load_scans(VAL_FRACTION, settings['seed'] % 2**32)
    scans = data.images.astype(np.float32) / 16  # (1797, 8, 8) in 0..1
    annotations, size = root / 'annotations', settings['image_size']
    annotations.mkdir(parents=True)
    instances = {}
    for number, (split, chosen) in enumerate(zip(SPLITS, indices, strict=True)):
        pictures, semantic = root / split, root / 'semantic' / split
        pictures.mkdir()
        semantic.mkdir(parents=True)
        images, objects = [], []
        for i in track_iter_progress(range(settings[f'num_{split}'])):
            rng = np.random.default_rng((settings['seed'], number, i))
            picture, digits = compose_scene(rng, size, scans, data.target, chosen)
            image = dict(id=i + 1, file_name=f'{i:06d}.png', width=size, height=size, license=1)
            labels = np.zeros((size, size), np.uint8)  # the visible masks never overlap
            for digit in digits:
                labels[digit.visible] = digit.label + 1
            for folder, content in ((pictures, picture), (semantic, labels)):
                encoded = cv2.imencode('.png', content)[1]
                (folder / image['file_name']).write_bytes(encoded.tobytes())
            images.append(image)
            for digit in digits:
                objects.append(_annotation(digit, len(objects) + 1, i + 1))
        instances[split] = len(objects)
        _save_json(annotations / f'instances_{split}.json', _coco(images, objects))
    _save_json(root / 'meta.json', {**settings, 'instances': instances})


def _coco(images: list[dict], annotations: list[dict]) -> dict:
    return dict(
        info=dict(
            description="Digits scenes, composed from scikit-learn's digits", version=str(VERSION)
        ),
        licenses=[dict(id=1, name=LICENSE, url='https://doi.org/10.24432/C50P49')],
        categories=[
            dict(id=i, name=name, supercategory='digit')
            for i, name in enumerate(DIGITS_SCENES_METAINFO['classes'], start=1)
        ],
        images=images,
        annotations=annotations,
    )


def _annotation(digit: Digit, annotation_id: int, image_id: int) -> dict:
    from pycocotools import mask as coco_mask  # here, because only making the data needs it

    rle = coco_mask.encode(np.asfortranarray(digit.visible, dtype=np.uint8))
    return dict(
        id=annotation_id,
        image_id=image_id,
        category_id=digit.label + 1,
        bbox=coco_mask.toBbox(rle).tolist(),  # x, y, width, height in pixels
        area=int(coco_mask.area(rle)),
        segmentation=dict(size=rle['size'], counts=rle['counts'].decode()),
        iscrowd=0,
        scan=digit.scan,
    )


def _save_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, separators=(',', ':')) + '\n', encoding='utf-8')
