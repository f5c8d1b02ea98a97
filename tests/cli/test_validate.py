"""`mmoverlock validate`: the accuracies, counted by hand too, and the one line of a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from mmpretrain.evaluation import Accuracy
from PIL import Image
from timm.data import create_transform
from torch import nn

from ..fake_data import picture, wnids

CLASSES = ['1', '2', '3', '10', '11', '20', 'x']  # timm's order
SIZE = 48


@pytest.fixture(scope='module')
def here(tmp_path_factory) -> Path:
    """Images of unequal sizes and numbers, and checkpoints of a model that confuses classes."""
    here = tmp_path_factory.mktemp('validate')
    for label, name in enumerate(CLASSES):
        for index in range(1 + label % 3):
            seed = 10 * label + index
            picture(here / 'data/val' / name / f'{index}.png', (50 + 7 * label, 64 + index), seed)
    torch.manual_seed(0)
    model = timm.create_model('overlock_xxt', num_classes=7)
    pictures, _ = images(here)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setenv('MMOVERLOCK_BACKEND', 'reference')
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        model.train()(pictures)  # statistics for which features vary
        logits = model.eval()(pictures)
        classifier = model.get_classifier()
        classifier.weight /= logits.std()
        classifier.bias -= logits.mean(0) / logits.std()
        torch.save(model(pictures), here / 'logits.pt')
    state = model.state_dict()
    bare = {
        name.removeprefix('backbone.').replace('head.main.', 'head.'): value
        for name, value in state.items()
    }
    meta = dict(dataset_meta=dict(classes=tuple(CLASSES[::-1])))
    files = {
        'published.pth': bare,
        'timm.pth': dict(epoch=1, arch='overlock_xxt', state_dict=state),
        'ema.pth': dict(
            state_dict={name: 0 * value for name, value in state.items()}, state_dict_ema=state
        ),
        'ours.pth': dict(meta=dict(), state_dict=state),
        'named.pth': dict(meta=meta, state_dict=state),
        'foreign.pth': {'conv1.weight': torch.zeros(3)},
        'nan.pth': {
            name: value * float('nan') if value.is_floating_point() else value
            for name, value in state.items()
        },
    }
    for name, content in files.items():
        torch.save(content, here / name)
    model.get_classifier().weight.data.fill_(1e38)
    torch.save(model.state_dict(), here / 'infinite.pth')
    reduced = {name: value for name, value in state.items() if 'head' not in name}
    torch.save(reduced, here / 'headless.pth')
    return here


def images(here: Path) -> tuple[torch.Tensor, list[str]]:
    """All images, prepared, and the names of their classes."""
    transform = create_transform((3, SIZE, SIZE), interpolation='bicubic', crop_pct=0.9)
    paths = sorted((here / 'data/val').glob('*/*'))
    pictures = [transform(Image.open(path).convert('RGB')) for path in paths]
    return torch.stack(pictures), [path.parent.name for path in paths]


@pytest.fixture
def validate(here, tool, monkeypatch):
    monkeypatch.chdir(here)
    monkeypatch.setenv('MMOVERLOCK_BACKEND', 'reference')

    def run(*arguments: str, data: str = 'data') -> None:
        given = [data, '--model', 'overlock_xxt', '-b', '5', '-j', '0', '--img-size', str(SIZE)]
        tool('validate')([*given, '--crop-pct', '0.9', *arguments])

    return run


@pytest.mark.parametrize(
    ('file', 'options', 'order'),
    [
        ('published.pth', [], CLASSES),
        ('published.pth', ['--no-merge', '-b', '64', '-j', '1'], CLASSES),
        ('timm.pth', ['--split', 'val'], CLASSES),
        ('ema.pth', ['--use-ema'], CLASSES),
        ('ours.pth', [], sorted(CLASSES)),
        ('named.pth', ['--amp', 'bfloat16'], CLASSES[::-1]),
    ],
    ids=str,
)
def test_accuracy(here, validate, capsys, tmp_path, file, options, order):
    logits = torch.load(here / 'logits.pt')
    labels = torch.tensor([order.index(name) for name in images(here)[1]])
    assert len({*logits.argmax(1).tolist()}) > 2 and sorted(CLASSES) != CLASSES
    (top1,), (top5,) = Accuracy.calculate(
        logits.softmax(1), labels, topk=(1, 5)
    )  # of scores above 0
    results = tmp_path / 'results.json'
    validate('--checkpoint', file, *options, '--results-file', str(results))
    found = json.loads(results.read_text())
    assert found['images'] == len(labels) == 13
    wrong = 100 / 13 if '--amp' in options else 0  # a close call may go either way
    assert found['top1'] == pytest.approx(top1.item(), abs=1e-3 + wrong)
    assert found['top5'] == pytest.approx(top5.item(), abs=1e-3 + wrong)
    assert found['img_size'] == SIZE and found['crop_pct'] == 0.9 and found['classes'] == 7
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        f'overlock_xxt: top-1 {found["top1"]:.3f} %, top-5 {found["top5"]:.3f} % '
        '(13 images of 7 classes, 48 pixels, crop 0.9, bicubic)'
    )


@pytest.fixture(scope='module')
def faults(here) -> Path:
    picture(here / 'training/train/a/0.png')
    (here / 'empty').mkdir()
    for name in CLASSES:
        (here / 'imageless' / name).mkdir(parents=True)
        picture(here / 'damaged' / name / '0.png')
    (here / 'damaged/x/1.jpg').write_bytes(b'\xff\xd8\xff\xe0 no more')
    picture(here / 'two/a/0.png')
    picture(here / 'two/b/0.png')
    (here / 'old.json').write_text('old')
    return here


CHECKPOINT = ['--checkpoint', 'timm.pth']


@pytest.mark.parametrize(
    ('data', 'arguments', 'message'),
    [
        ('nowhere', CHECKPOINT, "'nowhere' is not a folder"),
        ('training', CHECKPOINT, "'training' holds no folder val or valid or validation"),
        ('data', [*CHECKPOINT, '--split', 'test'], "'data' holds no folder test"),
        ('empty', CHECKPOINT, "'empty' holds no folders, one for each class is needed"),
        ('imageless', CHECKPOINT, "'imageless' holds no images in its 7 folders"),
        ('two', CHECKPOINT, 'the model has 7 classes, the data 2 folders'),
        (
            'damaged',
            CHECKPOINT,
            "image 'damaged/x/1.jpg': it is damaged, or no image",
        ),
        (
            'data',
            [*CHECKPOINT, '--model', 'overlock_tt'],
            "model 'overlock_tt' is unknown, did you mean 'overlock_t'?: 'overlock_b', "
            "'overlock_s', 'overlock_t', 'overlock_xt', 'overlock_xxt' are allowed",
        ),
        (
            'data',
            ['--pretrained'],
            "model 'overlock_xxt' has no published weights, only 'overlock_b', 'overlock_s', "
            "'overlock_t', 'overlock_xt' have",
        ),
        (
            'data',
            ['--pretrained', '--model', 'overlock_t'],
            'the model has 1000 classes, the data 7 folders',
        ),
        ('data', [], 'one of the arguments --pretrained --checkpoint is required'),
        ('data', ['--pretrained', '--use-ema'], '--use-ema needs --checkpoint'),
        ('data', [*CHECKPOINT, '--use-ema'], "'timm.pth' holds no averaged weights"),
        ('data', ['--checkpoint', 'foreign.pth'], "checkpoint 'foreign.pth' fits nothing"),
        ('data', ['--checkpoint', 'headless.pth'], "checkpoint 'headless.pth' lacks 7 of"),
        ('data', ['--checkpoint', 'nan.pth'], "checkpoint 'nan.pth' holds NaN or infinity"),
        ('data', ['--checkpoint', 'infinite.pth'], 'the model gives NaN or infinity'),
        ('data', [*CHECKPOINT, '--model', 'overlock_xt'], 'is of another arch'),
        ('data', [*CHECKPOINT, '--img-size', '31'], '31 pixels: at least 32 are needed'),
        ('data', [*CHECKPOINT, '--crop-pct', '1.5'], "'1.5' is not a number above 0, up to 1"),
        ('data', [*CHECKPOINT, '--device', 'tpu'], '--device tpu: allowed are cpu, cuda, cuda:N'),
        ('data', [*CHECKPOINT, '--results-file', 'old.json'], "'old.json' exists"),
    ],
    ids=str,
)
def test_mistakes(faults, validate, capsys, data, arguments, message):
    with pytest.raises(SystemExit) as stop:
        validate(*arguments, data=data)
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and line.startswith('error: ') and message in line


def test_published_weights_by_name(here, validate, capsys, tmp_path, monkeypatch):
    for name in wnids(1000):
        (tmp_path / 'imagenet/val' / name).mkdir(parents=True)
    for index in range(3):
        picture(tmp_path / f'imagenet/val/{wnids(1000)[-1]}/{index}.JPEG', seed=index)
    model = timm.create_model('overlock_xt')
    model.get_classifier().bias.data[999] = 100
    torch.save(model.state_dict(), tmp_path / 'overlock_xt_in1k_224.pth')
    monkeypatch.setenv('MMOVERLOCK_WEIGHTS', str(tmp_path))
    validate(
        '--model', 'overlock_xt', '--pretrained', '--img-size', '32', data=f'{tmp_path}/imagenet'
    )
    assert capsys.readouterr().out.startswith(
        'overlock_xt: top-1 100.000 %, top-5 100.000 % (3 images of 1000 classes, 32 pixels, '
    )
