"""An exported model says what the checkpoint says, and its pictures look the same."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import sklearn.datasets
from pycocotools import mask as coco_mask

from mmoverlock.apis import Inferencer
from mmoverlock.cli.config import load_config
from mmoverlock.deploy.export import export
from mmoverlock.runtime import ExportedModel
from mmoverlock.runtime.calibrators import TemperatureScaling, to_json
from mmoverlock.runtime.spec import KEY, Spec

from ..deploy.small import make
from ..user import ROOT

PHOTOS = Path(sklearn.datasets.__file__).parent / 'images'


@pytest.fixture(scope='module')
def pictures(tmp_path_factory) -> Path:
    """Parts of photographs, wide, tall and small."""
    folder = tmp_path_factory.mktemp('pictures')
    photo = cv2.imread(str(PHOTOS / 'flower.jpg'))
    cv2.imwrite(str(folder / 'tall.png'), photo[40:300, 200:390])
    cv2.imwrite(str(folder / 'wide.png'), photo[100:201, 100:360])
    cv2.imwrite(str(folder / 'small.jpg'), photo[150:189, 150:200])
    return folder


def both(name: str, folder: Path, export_as: dict, **options) -> tuple[Inferencer, ExportedModel]:
    """A small model of this kind, and what is exported of it."""
    cfg, checkpoint = make(name, folder)
    cfg = load_config(cfg.filename)
    path = folder / f'{name}.onnx'
    export(cfg, checkpoint, 'onnx', path, verified=False, **export_as)
    return Inferencer(cfg, checkpoint, 'cpu', **options), ExportedModel(path, **options)


@pytest.fixture(scope='module')
def classifiers(tmp_path_factory):
    return both('classifier', tmp_path_factory.mktemp('cls'), {})


def run(models, pictures, tmp_path) -> list[tuple[dict, dict]]:
    folders = tmp_path / 'checkpoint', tmp_path / 'exported'
    found = [[*model.run(pictures, out)] for model, out in zip(models, folders, strict=True)]
    assert [len(one) for one in found] == [3, 3]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1] and 'predictions.json' in names[0]
    return list(zip(*found, strict=True))


def drawn_difference(one: dict, other: dict) -> np.ndarray:
    """By how much the pixels of two drawings differ."""
    a, b = (cv2.imread(result['picture']).astype(int) for result in (one, other))
    assert a.shape == b.shape
    return np.abs(a - b).max(2)


def test_classifier(classifiers, pictures, tmp_path):
    for one, other in run(classifiers, pictures, tmp_path):
        assert [x['name'] for x in one['top']] == [x['name'] for x in other['top']]
        for x, y in zip(one['top'], other['top'], strict=True):
            assert x['score'] == pytest.approx(y['score'], abs=1e-4)
        assert (drawn_difference(one, other) > 0).mean() < 1e-3  # a digit of a percentage


def test_calibrated_classifier(classifiers, pictures, tmp_path):
    _, model = classifiers
    file = tmp_path / 'calibrator.json'
    file.write_text(to_json(TemperatureScaling(2.0), model.classes))
    picture = pictures / 'wide.png'
    raw = model.predict(picture)['top']
    path = model._task.session.path
    calibrated = ExportedModel(path, calibration=file).predict(picture)['top']
    assert raw[0]['name'] == calibrated[0]['name'] and raw[0]['score'] > calibrated[0]['score']


def test_detector(tmp_path):
    """Of one size, 160×160, on a larger square picture: boxes and masks are scaled back."""
    photo = cv2.imread(str(PHOTOS / 'flower.jpg'))
    picture = tmp_path / 'square.png'
    cv2.imwrite(str(picture), photo[40:300, 200:460])
    models = both('detector', tmp_path, dict(size=(160, 160)), score_thr=0.0)
    one, other = (next(model.run(picture)) for model in models)
    assert len(one['objects']) == len(other['objects']) > 3
    for x in one['objects'][:30]:  # equal scores may change places

        def far(y: dict, x: dict = x) -> float:
            return np.abs(np.subtract(x['box'], y['box'])).max() + 1e3 * (x['label'] != y['label'])

        y = min(other['objects'], key=far)
        assert far(y) < 1e-2 and x['score'] == pytest.approx(y['score'], abs=1e-4)
        masks = [coco_mask.decode(found['mask']) for found in (x, y)]
        assert masks[0].shape == masks[1].shape == cv2.imread(one['image']).shape[:2]
        assert (masks[0] != masks[1]).mean() < 1e-3


def test_segmentor(pictures, tmp_path):
    for one, other in run(
        both('upernet', tmp_path, dict(dynamic=True, size=(64, 96))), pictures, tmp_path
    ):
        assert one['labels'].shape == cv2.imread(one['image']).shape[:2]
        assert len(np.unique(one['labels'])) > 2
        assert (one['labels'] != other['labels']).mean() < 1e-3
        assert (drawn_difference(one, other) > 0).mean() < 1e-2


CUT_OFF = """
import sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'numba'):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
from mmoverlock.cli.main import main
main(sys.argv[1:])
"""


def without_pytorch(*arguments: object, folder: Path) -> subprocess.CompletedProcess:
    """The command in a Python that has neither PyTorch nor the OpenMMLab libraries."""
    return subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(ROOT)!r})\n{CUT_OFF}']
        + [str(one) for one in arguments],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


def test_needs_no_pytorch(classifiers, pictures, tmp_path):
    checkpoint, model = classifiers
    path = model._task.session.path
    done = without_pytorch(
        'infer', path, pictures, '--topk', '1', '--threads', '1', folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'work_dirs/classifier/infer/predictions.json').read_text())
    for one in found:
        best = checkpoint.predict(one['image'])['top'][0]
        assert one['top'][0]['name'] == best['name']
        assert f'{one["top"][0]["score"]:.3f} {best["name"]}' in done.stdout
        assert cv2.imread(str(tmp_path / one['picture'])) is not None
    for arguments in (['infer', 'a.py', 'a.pth', 'a.png'], ['train', 'a.py']):
        done = without_pytorch(*arguments, folder=tmp_path)
        assert done.returncode == 2 and 'needs torch, mmengine, mmcv' in done.stderr
        assert done.stderr.count('\n') == 1


def changed(path: Path, file: Path, metadata: dict[str, str]) -> Path:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, file)
    return file


def test_refuses(classifiers, pictures, tmp_path, monkeypatch):
    _, model = classifiers
    path = model._task.session.path
    (tmp_path / 'text.onnx').write_text('no model')
    spec = model.spec.to_json()
    fixed = Spec.from_json(spec)
    object.__setattr__(fixed, 'sizes', ((64, 64), (64, 64)))
    cases = {
        'a.xml': 'does not end in .onnx',
        'missing.onnx': 'does not exist',
        'text.onnx': 'is damaged, or no ONNX file',
        changed(path, tmp_path / 'other.onnx', {}): 'was not written by "mmoverlock export"',
        changed(path, tmp_path / 'cut.onnx', {KEY: spec[:50]}): 'no description',
        changed(path, tmp_path / 'new.onnx', {KEY: spec.replace('"format": 1', '"format": 2')}): (
            'newer mmoverlock'
        ),
    }
    for file, message in cases.items():
        with pytest.raises(ValueError, match=message) as error:
            ExportedModel(tmp_path / file)
        assert '\n' not in str(error.value)
    file = changed(path, tmp_path / 'fixed.onnx', {KEY: fixed.to_json()})
    (result, *_) = ExportedModel(file).run(pictures)
    assert 'its height is 32 after preprocessing, but the model takes 64' in result['error']
    for options in (dict(topk=0), dict(score_thr=2), dict(threads=0), dict(calibration='a.json')):
        with pytest.raises(ValueError, match=next(iter(options))):
            ExportedModel(path, **options)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ValueError, match='pip install onnxruntime'):
        ExportedModel(path)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['model.xml', 'a.png'], "'model.xml': of exported models, infer runs .onnx files alone"),
        (['model.onnx', 'a.png', '--slice', '64'], '--slice is for checkpoints'),
        (['model.onnx', 'a.png', '--device', 'cpu'], '--device is for checkpoints'),
        (['model.onnx', 'a.png', '--cfg-options', 'a=1'], '--cfg-options is for checkpoints'),
        (['cls.py', 'cls.pth', 'a.png', '--threads', '2'], '--threads 2 is for exported models'),
        (['cls.py', 'cls.pth'], 'arguments are required: IMAGE'),
    ],
)
def test_command_refuses(tool, capsys, arguments, message):
    with pytest.raises(SystemExit, match='2'):
        tool('infer')(arguments)
    assert message in capsys.readouterr().err
