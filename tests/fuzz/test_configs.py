"""Mutated configs: values of dumped ones, as .py, .json and .yaml, and damaged bytes of these."""

import json
import random

import pytest
import yaml
from mmengine.config import Config

from .fuzzing import SCALE, mutate_bytes, mutate_tree, nested

CASES = 200
GROUPS = 4
DEEP_TEXT = 60  # levels: Python's parser takes no more than a hundred brackets


@pytest.fixture(scope='session')
def trees(user) -> dict[str, dict]:
    """The configs as plain dicts and lists, which JSON and YAML have."""
    texts = {
        name: json.dumps(Config.fromfile(user / f'{name}.py').to_dict())
        for name in ('cls', 'det', 'seg')
    }
    return {name: json.loads(text) for name, text in texts.items()}


def as_text(tree, suffix: str) -> str:
    """The file's text; in JSON some keys are there twice."""
    if suffix == '.json':
        return json.dumps(tree)
    if suffix == '.yaml':
        return yaml.safe_dump(tree, allow_unicode=True)
    items = tree.items() if isinstance(tree, dict) else [('value', tree)]
    lines = [f'{key} = {value!r}' for key, value in items if str(key).isidentifier()]
    return '\n'.join(["nan, inf = float('nan'), float('inf')", *lines, 'del nan, inf'])


def mutant(tree: dict, suffix: str, rng: random.Random) -> bytes:
    """The bytes of a file."""
    tree, kind = json.loads(json.dumps(tree)), rng.randrange(8)
    if kind == 0:
        return mutate_bytes(as_text(tree, suffix).encode(), rng)
    if kind == 1:
        tree[rng.choice(list(tree))] = nested(rng.choice((DEEP_TEXT, 900)))
        suffix = '.json' if suffix == '.yaml' else suffix  # which YAML contains
    else:
        part = tree
        while rng.random() < 0.7 and (inner := _inner(part)):  # not only the longest lists
            part = rng.choice(inner)
        mutated = mutate_tree(part, rng, depth=DEEP_TEXT)
        tree = mutated if part is tree else tree
    return as_text(tree, suffix).encode('utf-8', 'surrogatepass')


def _inner(part) -> list:
    values = part.values() if isinstance(part, dict) else part
    return [one for one in values if isinstance(one, (dict, list)) and one]


WAYS = ['train', 'train', 'train', 'test', 'infer', 'benchmark', 'draw_run']
DIGITS = 'data/digits_scenes/val/000000.png'


@pytest.mark.parametrize('group', range(GROUPS))
def test_mutants(group, trees, fuzz, tool, tmp_path):
    for seed in range(group, CASES * SCALE, GROUPS):
        rng = random.Random(seed)
        name, way = rng.choice(('cls', 'cls', 'det', 'seg')), rng.choice(WAYS)
        suffix = '.py' if way == 'draw_run' else rng.choice(('.py', '.json', '.yaml'))
        work = tmp_path / f'{seed}'
        work.mkdir()
        path = work / f'mutant{suffix}'
        path.write_bytes(mutant(trees[name], suffix, rng))
        out, unique = ['--work-dir', str(work)], ['--cfg-options', f'experiment_name={work}']
        # That a threshold is a text only the running model can tell.
        fuzz.codes = (2,) if way == 'train' else (1, 2)
        if way == 'train':
            fuzz.run(seed, tool('train'), [str(path), *out, *unique])
        elif way == 'test':
            fuzz.run(seed, tool('test'), [str(path), f'{name}.pth', *out, *unique])
        elif way == 'infer':
            where = ['--out', str(work)]
            fuzz.run(seed, tool('infer'), [str(path), f'{name}.pth', DIGITS, *where])
        elif way == 'benchmark':
            size = ['--size', '64', '64', '--iters', '1', '--warmup', '1']
            fuzz.run(seed, tool('benchmark'), [str(path), *size])
        else:
            (work / 'run/vis_data').mkdir(parents=True)
            (work / 'run/vis_data/scalars.json').write_text('{"loss": 1.0, "step": 1}\n')
            fuzz.run(seed, tool('draw_run'), [str(work), '--predictions', str(work / 'none.pkl')])
    fuzz.check()
