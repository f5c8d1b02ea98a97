"""tools/infer.py: classifiers, detectors and segmentors on pictures, good and bad."""

import json
import subprocess
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import sklearn.datasets
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmoverlock.apis import Inferencer, infer
from mmoverlock.runtime.calibrators import PlattScaling, to_json

from ..user import ROOT

PHOTOS = Path(sklearn.datasets.__file__).parent / 'images'
SCENES = 'data/digits_scenes/val'


@pytest.fixture(scope='module')
def lively(home, tmp_path_factory) -> Path:
    """A classifier's checkpoint with random weights: its scores tell pictures apart."""
    state = torch.load(home / 'cls.pth', weights_only=True)['state_dict']
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim > 1:
            drawn = torch.randn(value.shape, generator=generator)
            state[name] = drawn / value[0].numel() ** 0.5
    path = tmp_path_factory.mktemp('lively') / 'cls.pth'
    torch.save(state, path)
    return path


def predictions(out: Path) -> list[dict]:
    return json.loads((out / 'predictions.json').read_text())


def test_classifier(at_home, tool, tmp_path, capsys):
    """As in the issue: both photographs, the best classes printed, drawn and written."""
    tool('infer')(['cls.py', 'cls.pth', str(PHOTOS), '--out', str(tmp_path / 'new/out')])
    china, flower = predictions(tmp_path / 'new/out')
    assert [Path(one['image']).name for one in (china, flower)] == ['china.jpg', 'flower.jpg']
    assert len(china['top']) == 2  # of two classes
    assert sum(one['score'] for one in china['top']) == pytest.approx(1)
    assert china['top'][0]['score'] >= china['top'][1]['score']
    printed = capsys.readouterr().out
    assert f'{flower["top"][0]["score"]:.3f} {flower["top"][0]["name"]}' in printed
    photo, drawn = cv2.imread(str(PHOTOS / 'china.jpg')), cv2.imread(china['picture'])
    assert drawn.shape[1] == photo.shape[1] and len(drawn) > len(photo)
    assert np.abs(drawn[: len(photo)].astype(int) - photo).mean() < 3  # colours and all


def test_scores_are_those_of_the_test_pipeline(at_home, lively):
    cfg = Config.fromfile('cls.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build({'data_preprocessor': cfg.data_preprocessor, **cfg.model}).eval()
    model.load_state_dict(torch.load(lively, weights_only=True))
    photo = cv2.imread(str(PHOTOS / 'china.jpg'))
    batch = dict(inputs=torch.from_numpy(photo).permute(2, 0, 1)[None])
    with torch.no_grad():
        expected = model(model.data_preprocessor(batch)['inputs'], mode='tensor').softmax(1)[0]
    for merge in (True, False):
        (result,) = infer('cls.py', lively, PHOTOS / 'china.jpg', merge=merge)
        for one in result['top']:
            assert one['score'] == pytest.approx(expected[one['label']].item(), abs=1e-4)


def test_arrays_of_a_data_set_that_reads_no_files_are_rgb(at_home, lively):
    """CIFAR's and the digits' pipelines begin with RGB arrays: files must be turned to RGB, too."""
    files, arrays, swapped = (Config.fromfile('cls.py') for _ in range(3))
    files.data_preprocessor.to_rgb = True
    arrays.test_dataloader.dataset.pipeline = [dict(type='PackInputs')]
    photo = PHOTOS / 'flower.jpg'
    found = [infer(cfg, lively, photo)[0]['top'] for cfg in (files, arrays, swapped)]
    rgb, same, bgr = ({one['label']: one['score'] for one in top} for top in found)
    assert same == pytest.approx(rgb, abs=1e-5)
    assert bgr != pytest.approx(rgb, abs=1e-3)


def test_detector(at_home, tool, tmp_path):
    tool('infer')(['det.py', 'det.pth', SCENES, '--out', str(tmp_path), '--score-thr', '0'])
    results = predictions(tmp_path)
    assert [Path(one['picture']).name for one in results] == ['000000.png', '000001.png']
    found = [one for result in results for one in result['objects']]
    assert found and {one['name'] for one in found} <= set('0123456789')
    assert found[0].keys() == {'name', 'label', 'score', 'box', 'mask'}
    assert found[0]['mask']['size'] == [64, 64]
    drawn = cv2.imread(results[0]['picture'])
    assert drawn.shape == (384, 384, 3)  # 64 pixels are too few for text
    (sure, _) = infer('det.py', 'det.pth', SCENES, score_thr=1.0)
    assert sure['objects'] == []


def test_segmentor(at_home, tool, tmp_path):
    tool('infer')(['seg.py', 'seg.pth', f'{SCENES}/000000.png', '--out', str(tmp_path)])
    (result,) = predictions(tmp_path)
    labels = cv2.imread(result['label_map'], cv2.IMREAD_UNCHANGED)
    assert labels.shape == (64, 64)
    for one in result['classes']:
        assert one['name'] == '_0123456789'[one['label']]
        assert one['share'] == pytest.approx((labels == one['label']).mean())
    (again,) = infer('seg.py', 'seg.pth', f'{SCENES}/000000.png')
    assert np.array_equal(again['labels'], labels) and 'picture' not in again


@pytest.fixture(scope='module')
def film(home, tmp_path_factory) -> Path:
    """A video of six scenes."""
    file = tmp_path_factory.mktemp('film') / 'film.avi'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 12.5, (64, 64))
    for scene in sorted(home.glob('data/digits_scenes/*/*.png')):
        writer.write(cv2.imread(str(scene)))
    writer.release()
    return file


def frames_of(file: Path | str) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(file)), []
    while (pair := capture.read())[0]:
        frames.append(pair[1])
    return frames


@pytest.mark.parametrize('task', ['cls', 'det', 'seg'])
def test_video(at_home, tool, film, tmp_path, capsys, task):
    """Drawn into a video of one size and rate, with the predictions of every frame."""
    arguments = [f'{task}.py', f'{task}.pth', str(film), '--out', str(tmp_path)]
    tool('infer')([*arguments, '--score-thr', '0.1'])
    (result,) = predictions(tmp_path)
    assert (result['video'], result['frames'], result['announced']) == (str(film), 6, 6)
    assert f'{film} -> {tmp_path}/film.mp4: 6 frames' in capsys.readouterr().out
    read, drawn = frames_of(film), frames_of(tmp_path / 'film.mp4')
    assert len(drawn) == 6 and drawn[0].shape[1] == 384  # 64 pixels are too few for text
    assert cv2.VideoCapture(str(tmp_path / 'film.mp4')).get(cv2.CAP_PROP_FPS) == 12.5
    found = json.loads((tmp_path / 'film.json').read_text())
    assert [one.pop('frame') for one in found] == [0, 1, 2, 3, 4, 5]
    model = Inferencer(f'{task}.py', f'{task}.pth', score_thr=0.1)
    for frame, one in zip(read, found, strict=True):
        expected = model.predict(frame)
        expected.pop('labels', None)
        assert one == json.loads(json.dumps(expected))
    counts = {one['name']: 0.0 for one in result['classes']}
    for one in found:
        if task == 'cls':
            counts[one['top'][0]['name']] += 1 / 6
        elif task == 'det':
            for name in {one['name'] for one in one['objects']}:
                counts[name] += 1 / 6
        else:
            for row in one['classes']:
                counts[row['name']] += row['share'] / 6
    assert counts and {one['name']: one['share'] for one in result['classes']} == pytest.approx(
        counts
    )
    shares = [one['share'] for one in result['classes']]
    assert shares == sorted(shares, reverse=True)


def test_video_from_python(at_home, film, monkeypatch):
    """Without a folder nothing is written, and at no time more than one frame is kept."""
    model, pictures = Inferencer('cls.py', 'cls.pth'), []

    def predict(picture):
        assert all(reference() is None for reference in pictures[:-1])
        pictures.append(weakref.ref(picture))
        return dict(top=[dict(label=0, name='dark', score=1.0)])

    monkeypatch.setattr(model._task, 'predict', predict)
    (result,) = model.run(film)
    classes = [dict(label=0, name='dark', share=1.0)]
    assert result == dict(video=str(film), frames=6, announced=6, classes=classes)
    assert len(pictures) == 6


def test_bad_videos_are_named_and_the_rest_goes_on(at_home, tool, film, tmp_path, capsys):
    (tmp_path / 'half.mp4').write_bytes(film.read_bytes()[:900])
    (tmp_path / 'empty.mov').touch()
    bad = [str(tmp_path / 'half.mp4'), str(tmp_path / 'empty.mov'), 'gone.mp4']
    with pytest.raises(SystemExit) as stop:
        tool('infer')(['cls.py', 'cls.pth', *bad, str(film), '--out', str(tmp_path / 'out')])
    assert stop.value.code == 2
    errors = capsys.readouterr().err.splitlines()
    lines = [line for line in errors if line.startswith(('video', 'error'))]
    assert len(lines) == 4
    for line, name in zip(lines, [*bad, '3 of 4 files could not be used'], strict=True):
        assert name in line
    assert [set(one) for one in predictions(tmp_path / 'out')[:3]] == [{'video', 'error'}] * 3
    written = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert written == ['film.json', 'film.mp4', 'predictions.json']


def test_slices(at_home, tool, tmp_path):
    """A picture of four scenes, in tiles of the size of one."""
    scene = cv2.imread(f'{SCENES}/000000.png')
    cv2.imwrite(str(tmp_path / 'large.png'), np.tile(scene, (2, 2, 1)))
    arguments = ['det.py', 'det.pth', str(tmp_path / 'large.png'), '--score-thr', '0.1']
    tool('infer')([*arguments, '--slice', '64', '--out', str(tmp_path / 'out')])
    (large,) = predictions(tmp_path / 'out')
    (alone,) = infer('det.py', 'det.pth', f'{SCENES}/000000.png', score_thr=0.1)
    best = alone['objects'][0]
    assert any(
        one['label'] == best['label'] and one['score'] == pytest.approx(best['score'], abs=1e-3)
        for one in large['objects']
    )
    boxes = np.array([one['box'] for one in large['objects']])
    assert boxes.min() >= 0 and 64 < boxes.max() <= 128
    assert {tuple(one['mask']['size']) for one in large['objects']} == {(128, 128)}


def test_class_names_come_from_the_checkpoint(at_home, tmp_path):
    state = torch.load('cls.pth', weights_only=True)
    for names, expected in [(('cat', 'dog'), {'cat', 'dog'}), (('a',) * 3, {'class 0', 'class 1'})]:
        torch.save({**state, 'meta': dict(dataset_meta=dict(classes=names))}, tmp_path / 'a.pth')
        model = Inferencer('cls.py', tmp_path / 'a.pth')
        result = model.predict(np.zeros((64, 64, 3), np.uint8))
        assert {one['name'] for one in result['top']} == expected == set(model.classes)


def test_nothing_is_overwritten(at_home, tool, tmp_path):
    """Two pictures of one name, and two runs into one folder."""
    picture = (at_home / 'data/classes/dark/dark.png').read_bytes()
    for folder in ('in/one', 'in/two'):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / 'a.png').write_bytes(picture)
    out = tmp_path / 'out'
    for _ in range(2):
        before = {path: path.read_bytes() for path in out.glob('*')}
        tool('infer')(['cls.py', 'cls.pth', f'{tmp_path}/in/*/a.png', '--out', str(out)])
        assert all(path.read_bytes() == data for path, data in before.items())
    written = ['a.png', 'a_1.png', 'a_2.png', 'a_3.png', 'predictions.json', 'predictions_1.json']
    assert sorted(path.name for path in out.iterdir()) == written


def test_unreadable_images_are_named_and_the_rest_goes_on(at_home, tool, tmp_path, capsys):
    small = tmp_path / 'small.png'
    cv2.imwrite(str(small), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'text.png').write_text('no picture')
    bad = [str(tmp_path / 'text.png'), 'gone.png', str(small)]
    good = 'data/classes/dark/dark.png'
    with pytest.raises(SystemExit) as stop:
        tool('infer')(['cls.py', 'cls.pth', *bad, good, '--out', str(tmp_path / 'out')])
    assert stop.value.code == 2
    errors = capsys.readouterr().err.splitlines()
    lines = [line for line in errors if line.startswith(('image', 'error'))]
    assert len(lines) == 4
    for line, name in zip(lines, [*bad, '3 of 4 images could not be used'], strict=True):
        assert name in line
    assert [path.name for path in (tmp_path / 'out').glob('*.png')] == ['dark.png']
    assert [set(one) for one in predictions(tmp_path / 'out')[:3]] == [{'image', 'error'}] * 3


@pytest.fixture
def calibrators(tmp_path) -> Path:
    for name, classes in dict(mine=['class 0', 'class 1'], other=['cat', 'dog']).items():
        text = to_json(PlattScaling([1.0, 1.0], [3.0, -3.0]), classes)
        (tmp_path / f'{name}.json').write_text(text)
    (tmp_path / 'damaged.json').write_text(text[:30])
    return tmp_path


def test_calibrated_scores(at_home, tool, lively, calibrators, capsys):
    """The odds of class 0 grow by e^3, those of class 1 shrink as much."""
    arguments = ['cls.py', str(lively), str(PHOTOS), '--out']
    tool('infer')([*arguments, str(calibrators / 'before')])
    tool('infer')(
        [*arguments, str(calibrators / 'after'), '--calibration', str(calibrators / 'mine.json')]
    )
    before, after = (predictions(calibrators / name) for name in ('before', 'after'))
    for one, other in zip(before, after, strict=True):
        old, new = (
            {top['label']: top['score'] for top in result['top']} for result in (one, other)
        )
        odds = old[0] / old[1] * np.exp(3.0)
        chances = odds / (1 + odds), 1 / (1 + odds)
        assert new == pytest.approx(dict(enumerate(chances)), rel=1e-4)
        assert other['top'][0]['score'] == max(new.values())


@pytest.mark.parametrize(
    ('config', 'file', 'message'),
    [
        (
            'cls',
            'other.json',
            "other.json' is for 2 classes, 'cat', 'dog'; the model has 2, 'class 0'",
        ),
        ('cls', 'damaged.json', "damaged.json' is damaged, or no calibrator"),
        ('cls', 'none.json', "none.json'"),
        ('det', 'mine.json', 'mine.json is for classifiers'),
        ('seg', 'mine.json', 'mine.json is for classifiers'),
    ],
)
def test_calibrators_that_do_not_fit(at_home, tool, calibrators, capsys, config, file, message):
    arguments = [f'{config}.py', f'{config}.pth', SCENES, '--out', str(calibrators / 'out')]
    with pytest.raises(SystemExit) as stop:
        tool('infer')([*arguments, '--calibration', str(calibrators / file)])
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and (file == 'none.json' or error.startswith('error: --calibration'))
    assert not (calibrators / 'out').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['cls.py', 'det.pth', SCENES], "checkpoint 'det.pth' lacks "),
        (['det.py', 'cls.pth', SCENES], "checkpoint 'cls.pth' "),
        (['det.py', 'det.py', SCENES], "checkpoint 'det.py' is a text file"),
        (['det.py', 'none.pth', SCENES], "checkpoint 'none.pth' does not exist"),
        (['none.py', 'det.pth', SCENES], "config 'none.py' does not exist"),
        (['det.py', 'det.pth', 'data'], "folder 'data' holds no image"),
        (['det.py', 'det.pth', '*.jpg'], "pattern '*.jpg' matches no image"),
        (['det.py', 'det.pth', SCENES, '--device', 'abacus'], '--device abacus: allowed are cpu'),
        (
            ['det.py', 'det.pth', SCENES, '--score-thr', '30'],
            '--score-thr 30.0: a score from 0 to 1',
        ),
        (['cls.py', 'cls.pth', SCENES, '--topk', '0'], '--topk 0: at least 1 is needed'),
        (['det.py', 'det.pth', SCENES, '--slice', '0'], '--slice 0: at least 1 pixel is needed'),
        (['seg.py', 'seg.pth', SCENES, '--slice', '64'], '--slice 64 is for detectors'),
        (['cls.py', 'cls.pth', SCENES, '--slice', '64'], '--slice 64 is for detectors'),
        (['det.py', 'det.pth'], 'the following arguments are required: IMAGE'),
    ],
)
def test_mistakes(at_home, tool, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        tool('infer')([*arguments, '--out', str(tmp_path / 'out')])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / 'out').exists()


def test_photograph_from_a_cold_start(home, tmp_path):
    """A made-up ImageNet classifier in a process of its own; nothing is downloaded."""
    text = f"_base_ = '{ROOT}/configs/overlock/overlock-xxt_finetune.py'\n"
    (tmp_path / 'mine.py').write_text(
        text + "test_dataloader = dict(dataset=dict(type='ImageNet'))"
    )
    cfg = Config.fromfile(tmp_path / 'mine.py')
    cfg.test_dataloader.dataset.pop('split')
    cfg.dump(tmp_path / 'mine.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'mine.pth')
    command = [sys.executable, str(ROOT / 'tools/infer.py'), 'mine.py', 'mine.pth']
    done = subprocess.run(
        [*command, str(PHOTOS / 'china.jpg')], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (result,) = predictions(tmp_path / 'work_dirs/mine/infer')
    assert len(result['top']) == 5
    assert all(one['name'] in done.stdout for one in result['top'])
    assert not any(one['name'].startswith('class ') for one in result['top'])
