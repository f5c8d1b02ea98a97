"""Mutated checkpoints: damaged bytes, wrong contents, hostile pickles."""

import collections
import io
import os
import random
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmoverlock.models import load_official
from mmoverlock.utils.checkpoint import read_checkpoint

from ..user import MARKER, Code
from .fuzzing import SCALE, mutate_bytes, mutate_tree, places, values

CASES = 200
GROUPS = 4
DEEP_PICKLE = 200  # levels that Python can still pickle


@pytest.fixture(scope='session')
def originals(user, tool, tmp_path_factory) -> dict[str, dict]:
    """What genuine files of the classifier hold: weights, and the checkpoint of a training."""
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(user)
        patch.setenv('MMOVERLOCK_BACKEND', 'reference')
        tool('train')(['cls.py', '--work-dir', str(folder)])
    training = read_checkpoint(folder / 'epoch_1.pth')
    return dict(weights=dict(training['state_dict']), training=training)


@pytest.fixture(scope='session')
def model(user):
    """The classifier, to load files into."""
    cfg = Config.fromfile(user / 'cls.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))


def saved(content, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def copied(tree):
    """Dicts and lists anew, with the tensors shared."""
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(one) for one in tree] if isinstance(tree, list) else tree


def odd_tensor(tensor: torch.Tensor, rng: random.Random):
    """What may stand in a tensor's place."""
    kinds = [
        lambda: torch.full_like(tensor, float('nan')) if tensor.is_floating_point() else None,
        lambda: tensor.to(rng.choice((torch.int8, torch.float64, torch.complex64, torch.bool))),
        lambda: tensor.to('meta'),
        lambda: tensor.float().to_sparse(),
        lambda: torch.zeros(rng.choice(([], [0], [1, 2, 3], [2**20, 2]))),
        lambda: torch.zeros(1).expand(2**40),
        lambda: tensor.flip(0) if tensor.ndim else tensor[None],
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        lambda: tensor.numpy(),
        lambda: np.full((2, 2), 'x'),
        lambda: np.array([None, tensor.numpy()], dtype=object),
        lambda: collections.OrderedDict(a=tensor),
    ]
    return rng.choice(kinds)()


def mutate_content(content: dict, rng: random.Random) -> dict:
    """Change tensors, and what is around them."""
    content = copied(content)
    for _ in range(rng.choice((0, 1, 3))):
        part, key = rng.choice(
            [pair for pair in places(content) if isinstance(pair[0][pair[1]], torch.Tensor)]
        )
        part[key] = odd_tensor(part[key], rng)
    inner = [content[key] for key in content if key != 'state_dict' and places(content[key])]
    part = rng.choice([content, *(one for one in inner if isinstance(one, (dict, list)) and one)])
    return (
        mutate_tree(part, rng, depth=DEEP_PICKLE)
        if part is content
        else mutate_tree(part, rng, depth=DEEP_PICKLE) and content
    )


def with_code(content: dict, rng: random.Random) -> dict:
    """Somewhere in it a pickled call."""
    content = copied(content)
    part, key = rng.choice(list(places(content)))
    calls = [
        Code(os.mkdir, MARKER),
        Code(eval, f'__import__("os").mkdir("{MARKER}")'),
        Code(getattr, Code(__import__, 'os'), 'mkdir'),
        Code(torch.load, MARKER),
    ]
    part[key] = rng.choice(calls)
    return content


def repacked(data: bytes, rng: random.Random) -> bytes:
    """A zip file whose records are compressed, renamed, left out, repeated or changed."""
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(target, 'w', method) as archive:
        for name in source.namelist():
            record, what = source.read(name), rng.randrange(12)
            if what == 0:
                record = mutate_bytes(record, rng)
            elif what == 1:
                name = rng.choice((f'../{name}', name.upper(), f'{name}/', 'data.pkl'))
            if what != 2:
                archive.writestr(name, record)
    return target.getvalue()


def mutant(originals: dict[str, dict], rng: random.Random) -> bytes:
    """The bytes of a file."""
    content = originals[rng.choice(list(originals))]
    legacy, kind = rng.random() < 0.3, rng.randrange(8)
    if kind < 3:
        return saved(mutate_content(content, rng), legacy)
    if kind == 3:
        return saved(with_code(content, rng), legacy)
    if kind == 4 and not legacy:
        return repacked(saved(content), rng)
    if kind == 5:
        return saved(rng.choice((values(rng), [content], {1: content}, (content,))), legacy)
    data = saved(content, legacy)
    if legacy or rng.random() < 0.5:
        head = data[:20_000]  # the pickle; what follows are mostly numbers
        return mutate_bytes(head, rng) + data[len(head) :]
    return mutate_bytes(data, rng)


@pytest.mark.parametrize('group', range(GROUPS))
def test_mutants(group, originals, model, fuzz, tool, tmp_path):
    names = [*['official'] * 6, 'init', 'load_from', 'resume', 'resume', 'test', 'infer', 'infer']
    for seed in range(group, CASES * SCALE, GROUPS):
        rng = random.Random(seed)
        path = tmp_path / 'mutant.pth'
        path.write_bytes(mutant(originals, rng))
        out, way = str(tmp_path / f'{seed}'), rng.choice(names)
        common = ['--work-dir', out, '--cfg-options', f'experiment_name={out}']
        if way == 'official':
            fuzz.run(seed, load_official, model, str(path))
        elif way == 'init':
            options = ['model.init_cfg.type=Pretrained', f'model.init_cfg.checkpoint={path}']
            fuzz.run(seed, tool('train'), ['cls.py', *common, *options])
        elif way == 'load_from':
            fuzz.run(seed, tool('train'), ['cls.py', *common, f'load_from={path}'])
        elif way == 'resume':
            fuzz.run(seed, tool('train'), ['cls.py', '--resume', str(path), *common])
        elif way == 'test':
            fuzz.run(seed, tool('test'), ['cls.py', str(path), *common])
        else:
            fuzz.run(seed, tool('infer'), ['cls.py', str(path), 'data/classes/dark', '--out', out])
    fuzz.check()
