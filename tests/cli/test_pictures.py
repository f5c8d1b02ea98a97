"""The pictures of three tasks through the tools: 16 bits, equal names, names in every script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmoverlock.apis import Inferencer
from mmoverlock.utils.pickles import read_predictions

from ..user import check

TASKS = dict(det='digits_scenes', seg='digits_scenes', cls='classes')
ROOT = 'test_dataloader.dataset.data_root'


def options(task, data) -> list[str]:
    found = ['--cfg-options', f'{ROOT}={data}']
    if task == 'det':
        found.append(f'test_evaluator.ann_file={data}/annotations/instances_val.json')
    return found


def images(data: Path) -> list[Path]:
    every = [path for path in data.rglob('*.png') if 'semantic' not in path.parts]
    return [path for path in every if 'train' not in path.parts]


def deepened(source: Path, data: Path) -> Path:
    """A copy of a data set whose images have values of 12 bits, in files of 16."""
    shutil.copytree(source, data)
    for path in images(data):
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) << 4)
    return data


@pytest.mark.parametrize('task', TASKS)
def test_twelve_bits_give_what_eight_bits_do(at_home, tool, tmp_path, task, capsys):
    data = deepened(at_home / 'data' / TASKS[task], tmp_path / 'deep')
    common = [f'{task}.py', f'{task}.pth', '--work-dir', str(tmp_path / 'work')]
    files = [Path('data', TASKS[task]), data]
    found = []
    for folder, bits in zip(files, ([], ['image_bits=12']), strict=True):
        out = tmp_path / f'{folder.name}.pkl'
        tool('test')([*common, '--out', str(out), *options(task, folder), *bits])
        found.append(read_predictions(out))
    for one, other in zip(*found, strict=True):
        for key, value in one.items():
            if key.startswith('pred_') and isinstance(value, dict):
                assert all(torch.equal(value[k], other[key][k]) for k in value if k != 'masks'), key
            elif key.startswith('pred_'):
                assert torch.equal(value, other[key]), key
    message = 'images looked at have 16 bits per channel'
    check(tool, 'test', [*common, *options(task, data)], message, data, capsys)


def test_inference_reads_twelve_bits_as_the_config_says(at_home, tmp_path):
    data = deepened(at_home / 'data/classes', tmp_path / 'deep')
    cfg = Config.fromfile('cls.py')
    plain = Inferencer(cfg, 'cls.pth')
    cfg.image_bits = 12
    deep = Inferencer(cfg, 'cls.pth')
    for path in images(data):
        expected = plain.predict(Path('data/classes', path.relative_to(data)))
        for result in (deep.predict(path), deep.predict(cv2.imread(str(path), -1))):
            assert str(result) == str(expected)
        if cv2.imread(str(path)).any():  # black is black
            with pytest.raises(ValueError, match='16-bit values up to .*image_bits=12'):
                plain.predict(path)


@pytest.mark.parametrize('task', TASKS)
def test_pictures_of_equal_names_are_all_drawn(at_home, tool, tmp_path, task):
    data, out = tmp_path / 'equal', tmp_path / 'drawn'
    shutil.copytree(at_home / 'data' / TASKS[task], data)
    first, second = sorted(images(data))
    places = [path.parent / folder / 'X.png' for path, folder in ((first, 'a'), (second, 'b'))]
    places[1] = places[1].with_name('x.png')  # the same on some disks
    for old, new in zip((first, second), places, strict=True):
        for name in ('', 'semantic') if task == 'seg' else ('',):
            source = data / name / old.relative_to(data)
            target = data / name / new.relative_to(data)
            target.parent.mkdir()
            source.rename(target)
    if task == 'det':
        file = data / 'annotations/instances_val.json'
        content = json.loads(file.read_text())
        for image, place in zip(content['images'], places, strict=True):
            image['file_name'] = str(place.relative_to(data / 'val'))
        file.write_text(json.dumps(content))
    tool('test')([
        f'{task}.py', f'{task}.pth', '--work-dir', str(tmp_path / 'work'),
        '--show-dir', str(out), *options(task, data),
    ])  # fmt: skip
    drawn = [path.relative_to(out) for path in out.rglob('*.png')]
    assert len(drawn) == 2 and len({path.parent for path in drawn}) == 2
    for path in drawn:
        assert path.parent.name in ('a', 'b') and 'x.png' in path.name.lower()
