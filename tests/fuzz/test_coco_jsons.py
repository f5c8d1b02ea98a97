"""Mutated COCO files: as a config's own data, in the evaluation, and as a folder of the user's."""

import json
import random
import shutil

import pytest
import torch
from mmdet.evaluation import CocoMetric

from mmoverlock.datasets.formats import read_objects

from .fuzzing import SCALE, mutate_bytes, mutate_tree

CASES = 300
GROUPS = 5
DEEP_TEXT = 900  # levels: Python's reader of JSON takes about as many
IMAGES = 'data/digits_scenes/train'
# Mostly what is cheap; each reads the file in a way of its own.
WAYS = [*['evaluate'] * 9, *['folder'] * 6, 'prepare', 'train', 'test']


@pytest.fixture(scope='session')
def original(user) -> dict:
    return json.loads((user / 'data/digits_scenes/annotations/instances_train.json').read_text())


def mutant(original: dict, rng: random.Random) -> bytes:
    """The bytes of a file."""
    tree, kind = json.loads(json.dumps(original)), rng.randrange(8)
    if kind == 0:
        return mutate_bytes(json.dumps(tree).encode(), rng)
    if kind == 1:
        tree = mutate_tree(tree, rng, depth=DEEP_TEXT)
    elif kind == 2:  # everywhere the same fault
        rows = tree[rng.choice(('images', 'annotations', 'categories'))]
        key = rng.choice(list(rows[0]))
        seed = rng.random()
        for row in rows:
            mutate_tree(row, random.Random(seed), most=1, depth=DEEP_TEXT)
        if rng.random() < 0.5:
            rows[0].pop(key, None)
    else:
        rows = tree[rng.choice(('images', 'annotations', 'annotations', 'categories'))]
        for row in rng.sample(rows, rng.randint(1, min(3, len(rows)))):
            mutate_tree(row, rng, depth=DEEP_TEXT)
    return json.dumps(tree).encode()


def evaluate(path: str) -> None:
    """Evaluate one detection in each image with mmdet's metric."""
    metric = CocoMetric(path, metric=['bbox', 'segm'])
    metric.dataset_meta = dict(classes=tuple('0123456789'))
    found = dict(
        bboxes=torch.tensor([[8.0, 8.0, 30.0, 30.0]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([3]),
        masks=torch.ones(1, 64, 64, dtype=torch.bool),
    )
    samples = [
        dict(img_id=key, ori_shape=(64, 64), pred_instances=found)
        for key in metric._coco_api.get_img_ids()
    ]
    metric.process({}, samples)
    metric.evaluate(len(samples))


@pytest.mark.parametrize('group', range(GROUPS))
def test_mutants(group, original, user, fuzz, tool, tmp_path):
    folder = tmp_path / 'data'
    shutil.copytree(user / IMAGES, folder / 'images')
    path = folder / 'annotations.json'
    for seed in range(group, CASES * SCALE, GROUPS):
        rng = random.Random(seed)
        path.write_bytes(mutant(original, rng))
        out, way = str(tmp_path / f'{seed}'), rng.choice(WAYS)
        common = ['--work-dir', out, '--cfg-options', f'experiment_name={out}']
        if way == 'evaluate':
            fuzz.run(seed, evaluate, str(path))
        elif way == 'folder':
            fuzz.run(seed, read_objects, str(folder))
        elif way == 'prepare':
            fuzz.run(seed, tool('prepare_data'), [str(folder), '--out', out])
        elif way == 'train':
            options = [f'train_dataloader.dataset.{key}={value}' for key, value in (
                ('ann_file', path), ('data_prefix.img', f'{folder}/images/'))]  # fmt: skip
            fuzz.run(seed, tool('train'), ['det.py', *common, *options])
        else:
            options = [f'test_dataloader.dataset.ann_file={path}', f'test_evaluator.ann_file={path}',
                       f'test_dataloader.dataset.data_prefix.img={folder}/images/']  # fmt: skip
            fuzz.run(seed, tool('test'), ['det.py', 'det.pth', *common, *options])
    fuzz.check()
