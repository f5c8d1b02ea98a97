"""Mutated images: damaged bytes and hostile headers, in inference, in a look, and in training."""

import random
import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest

from mmoverlock.datasets.formats import read_objects
from mmoverlock.datasets.formats.segmentation import read_labels
from mmoverlock.runtime.images import read_image

from .fuzzing import SCALE, mutate_bytes

CASES = 200
GROUPS = 2
NAME = '000000'
WAYS = [*['read'] * 6, *['labels'] * 3, *['objects'] * 3, 'infer', 'prepare', 'train', 'test']


@pytest.fixture(scope='session')
def originals() -> dict[str, bytes]:
    """Small images of each kind, by suffix."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    kinds = {
        suffix: colour for suffix in ('.jpg', '.png', '.tif', '.webp', '.bmp', '.ppm')
    } | {
        '.16.png': rng.integers(0, 2**16, (64, 64), dtype=np.uint16),
        '.16.tif': rng.integers(0, 2**16, (64, 64, 3), dtype=np.uint16),
        '.alpha.png': rng.integers(0, 256, (64, 64, 4), dtype=np.uint8),
        '.grey.png': rng.integers(0, 3, (64, 64), dtype=np.uint8),
        '.pgm': colour[..., 0],
    }  # fmt: skip
    return {
        name: cv2.imencode(f'.{name.rpartition(".")[2]}', image)[1].tobytes()
        for name, image in kinds.items()
    }


def huge(suffix: str, data: bytes, rng: random.Random) -> bytes:
    """An image whose header claims an odd size."""
    width, height = (rng.choice((0, 1, 2**15, 2**31 - 1)) for _ in range(2))
    if suffix == '.png':
        head = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
        return data[:12] + head + struct.pack('>I', zlib.crc32(head)) + data[33:]
    if suffix in ('.ppm', '.pgm'):
        return data[:3] + f'{width} {height}\n255\n'.encode() + data[20:]
    if suffix == '.bmp':
        return data[:18] + struct.pack('<II', width, height) + data[26:]
    return mutate_bytes(data[:200], rng) + data[200:]


def mutant(originals: dict[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """Suffix and bytes of a file."""
    name = rng.choice(list(originals))
    suffix, data = f'.{name.rpartition(".")[2]}', originals[name]
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(('.jpg', '.png', '.tif', '.bmp')), data  # called like another kind
    if kind < 4:
        return suffix, huge(suffix, data, rng)
    if kind == 4:
        return suffix, rng.choice((b'', b'\0' * 500, rng.randbytes(500), b'GIF89a' + data))
    return suffix, mutate_bytes(data, rng)


@pytest.mark.parametrize('group', range(GROUPS))
def test_mutants(group, originals, user, fuzz, tool, tmp_path):
    objects, pairs = tmp_path / 'objects', tmp_path / 'pairs'
    shutil.copytree(user / 'data/digits_scenes', objects / 'scenes')
    sound = sorted((user / 'data/digits_scenes/train').glob('*.png'))
    for seed in range(group, CASES * SCALE, GROUPS):
        rng = random.Random(seed)
        suffix, data = mutant(originals, rng)
        out, way = str(tmp_path / f'{seed}'), rng.choice(WAYS)
        common = ['--work-dir', out, '--cfg-options', f'experiment_name={out}']
        path = tmp_path / f'{NAME}{suffix}'
        path.write_bytes(data)
        for folder in ('images', 'labels'):
            shutil.rmtree(pairs / folder, ignore_errors=True)
            (pairs / folder).mkdir(parents=True)
        for one in sound[1:]:
            shutil.copy(one, pairs / 'images')
            cv2.imwrite(str(pairs / 'labels' / one.name), np.eye(64, dtype=np.uint8))
        where = rng.choice(('images', 'labels'))
        shutil.copy(path, pairs / where / f'{NAME}{suffix}')
        other = pairs / ('labels' if where == 'images' else 'images') / f'{NAME}.png'
        cv2.imwrite(str(other), np.eye(64, dtype=np.uint8))
        place = objects / 'scenes/train' / sound[0].name
        place.write_bytes(data)
        if way == 'read':
            fuzz.run(seed, read_image, path)
        elif way == 'labels':
            fuzz.run(seed, read_labels, str(pairs), str(tmp_path / 'read'))
        elif way == 'objects':
            fuzz.run(seed, read_objects, str(objects / 'scenes'))
        elif way == 'infer':
            task = rng.choice(('cls', 'det', 'seg'))
            arguments = [f'{task}.py', f'{task}.pth', str(path), '--out', out]
            fuzz.run(seed, tool('infer'), arguments)
        elif way == 'prepare':
            fuzz.run(seed, tool('prepare_data'), [str(pairs), '--out', out])
        else:
            part = 'train_dataloader' if way == 'train' else 'test_dataloader'
            options = [f'{part}.dataset.data_root={objects}/scenes/']
            if way == 'test':
                options = [f'{part}.dataset.data_root={objects}/scenes/',
                           f'{part}.dataset.ann_file=annotations/instances_train.json',
                           f'{part}.dataset.data_prefix.img=train/',
                           'test_evaluator.ann_file='
                           f'{objects}/scenes/annotations/instances_train.json']  # fmt: skip
            first = ['det.py'] if way == 'train' else ['det.py', 'det.pth']
            fuzz.run(seed, tool(way), [*first, *common, *options])
    fuzz.check()
