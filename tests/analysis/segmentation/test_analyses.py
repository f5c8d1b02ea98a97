"""Analyses of segmentors: of predictions that are made here, and of a tiny model."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image

from mmoverlock.analysis.analysis import NO_LABELS, Options
from mmoverlock.analysis.catalog import find_analysis, names_of
from mmoverlock.analysis.run import analyze
from mmoverlock.analysis.segmentation.sample import Sample

NAMES = ('eval', 'confusion', 'calibration', 'errors', 'predictions')
CLASSES = ['地面', 'square', 'never seen']


def _sample(index, size=(24, 30), shift=1, labelled=True, confidence=0.8, ignored=0):
    """A square that is predicted `shift` pixels beside its place; the rest is right."""
    truth = np.zeros(size, np.uint8)
    truth[8:14, 8:14] = 1
    prediction = np.roll(truth, shift, 1)
    truth[:ignored] = 255
    rest = (1 - confidence) / 2
    probabilities = np.full((3, *size), rest, np.float32)
    np.put_along_axis(probabilities, prediction[None].astype(int), confidence, 0)
    return Sample(index, prediction, probabilities, truth if labelled else None)


@pytest.fixture
def run(tmp_path):
    """Give samples to an analysis; return its section."""

    def run(name, samples, classes=CLASSES):
        subject = SimpleNamespace(
            classes=classes,
            colours=[(0, 0, 0), (230, 25, 75), (60, 180, 75)],
            indices=list(range(len(samples))),
            model=SimpleNamespace(),
            name=lambda index: f'{index}.png',
            picture=lambda index: np.full((*samples[index].prediction.shape, 3), 99, np.uint8),
        )
        analysis = find_analysis('segmentation', name)(subject, tmp_path, Options())
        for one in samples:
            analysis.see(one)
        section = analysis.finish()
        json.dumps(section.to_dict())  # plain data alone
        for one in section.files:
            assert (tmp_path / one).is_file()
        for one in section.pictures:
            assert min(Image.open(tmp_path / one.file).size) > 100
        return section

    return run


def test_the_task_has_them():
    assert set(NAMES) <= set(names_of('segmentation'))


def test_evaluation(run, tmp_path):
    section = run('eval', [_sample(0), _sample(1, (40, 20), 0)])
    # Of 2 x 36 pixels 6 are missed, and 6 of 1448 others are taken for the square.
    ious = (1520 - 72 - 6) / (1520 - 72 + 6), 66 / 78
    assert section.facts['mIoU'] == pytest.approx(sum(ious) / 2)
    assert section.facts['aAcc'] == pytest.approx(1508 / 1520)
    of_first = (720 - 36 - 6) / (720 - 36 + 6), 30 / 42
    assert section.facts['mIoU of images, median'] == pytest.approx((sum(of_first) / 2 + 1) / 2)
    content = json.loads((tmp_path / 'eval_metrics.json').read_text('utf-8'))
    ground, square, never = content['classes']
    assert square['IoU'] == pytest.approx(ious[1])
    assert ground['class'] == '地面' and ground['accuracy'] == pytest.approx(1442 / 1448)
    nothing = dict(IoU=None, Dice=None, accuracy=None, precision=None, share=0, predicted=0)
    assert never == {'class': 'never seen', **nothing}


def test_confusion(run, tmp_path):
    section = run('confusion', [_sample(0), _sample(1, shift=2)])
    matrix = np.load(tmp_path / 'confusion_matrix.npy')
    assert matrix.tolist() == [[2 * 684 - 18, 18, 0], [18, 72 - 18, 0], [0, 0, 0]]
    often, mostly = section.tables
    # Of equal counts the larger share comes first.
    expected = [['square', '地面', 18, 18 / 72], ['地面', 'square', 18, 18 / 1368]]
    assert often.rows == mostly.rows == expected


def test_calibration(run, tmp_path):
    section = run('calibration', [_sample(0), _sample(1), _sample(2, shift=0)])
    accuracy = 1 - 24 / (3 * 720)
    assert section.facts['ECE'] == pytest.approx(accuracy - 0.8, abs=1e-6)
    assert section.facts['AUROC of entropy'] == 0.5  # entropy is the same everywhere
    # The best confidence is the accuracy of the pictures 0 and 2: the odds to each other class
    # grow from 0.8 : 0.1 to 1428 / 1440 : 6 / 1440.
    expected = np.log(8) / np.log(1428 / 6)
    assert section.facts['temperature'] == pytest.approx(expected, rel=1e-3)
    stats = np.load(tmp_path / 'calibration_stats.npz')
    assert stats['counts'][0].sum() == 3 * 720
    assert stats['temperature'] == section.facts['temperature']


def test_calibration_where_entropy_finds_the_errors(run):
    sample = _sample(0)
    wrong = sample.truth != sample.prediction
    sample.probabilities[:, wrong] = np.array([[0.3], [0.3], [0.4]])
    section = run('calibration', [sample])
    assert section.facts['AUROC of entropy'] == 1
    assert section.facts['temperature'] is None  # a second picture is needed


def test_errors(run):
    section = run('errors', [_sample(0), _sample(1, shift=2)])
    assert section.facts['errors within 4 pixels of a boundary'] == 1
    bands, pairs, classes, *_ = section.tables
    assert bands.rows[0][1] == 2 * 44
    # The first has 6 + 6 wrong pixels beside the boundary. The second misses two columns, of which
    # the ends of the inner one are beside the boundary, and has two columns outside.
    assert [row[2] for row in bands.rows] == [12 + 8 + 6, 4 + 6, 0, 0, 0, 0, 0]
    assert pairs.rows == [['square', '地面', 18, 1], ['地面', 'square', 18, 1]]
    assert classes.rows[2][0] == 'never seen' and np.isnan(classes.rows[2][1:]).all()


def test_errors_names_the_picture_with_wrong_labels(run):
    samples = [_sample(i, (60, 60), 0, confidence=0.9) for i in range(4)]
    samples[2].truth[30:50, 30:50] = 1  # a square that is not there
    table = run('errors', samples).tables[-1]
    assert table.title == 'Likely label errors'
    assert table.rows == [['2.png', pytest.approx(0.1, abs=0.03), 'square → 地面']]


def test_predictions_are_ordered_by_their_score(run):
    shifts = [0, 3, 1, 4, 2, 0, 5, 6, 1, 1, 0]
    samples = [_sample(i, (24, 30 + i), shift) for i, shift in enumerate(shifts)]
    section = run('predictions', samples)
    order = [row[0] for row in section.tables[0].rows]
    assert order[:5] == ['7.png', '6.png', '3.png', '1.png', '4.png']
    assert section.pictures[0].title == 'The worst 6 images, the best 3'
    assert section.tables[0].rows[-1][1] == 1


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    'samples',
    [
        [_sample(0, labelled=False), _sample(1, (30, 20), labelled=False)],
        [_sample(0, ignored=24)],
        [_sample(0)],
        [_sample(0, labelled=False), _sample(1, (300, 32)), _sample(2, ignored=24)],
        [_sample(0, shift=0), _sample(1, shift=0)],
    ],
    ids=['no labels', 'all ignored', 'one', 'some labelled', 'all right'],
)
def test_odd_test_sets(run, name, samples):
    section = run(name, samples)
    if name in ('confusion', 'errors') and samples[-1].truth is None:
        assert section.text == [NO_LABELS]


def test_a_tiny_model(at_home, tmp_path):
    cfg = Config.fromfile('seg.py')
    report = analyze(cfg, 'seg.pth', NAMES, tmp_path / 'out', 'cpu')
    record = json.loads((report.parent / 'analysis.json').read_text('utf-8'))
    assert set(record['analyses']) == set(NAMES)
    for name in NAMES:
        section = record['analyses'][name]['section']
        assert section['pictures']
    miou = record['analyses']['eval']['section']['facts']['mIoU']
    assert record['analyses']['errors']['section']['facts']['mIoU'] == miou


def test_two_classes_by_a_threshold(at_home, tmp_path):
    cfg = Config.fromfile('seg.py')
    cfg.model.decode_head.update(num_classes=2, out_channels=1, threshold=0.3)
    cfg.test_dataloader.dataset.metainfo = dict(classes=('no', 'yes'))
    for path in sorted((at_home / 'data/digits_scenes/semantic/val').glob('*.png')):
        labels = (np.asarray(Image.open(path)) > 0).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / path.name)
    cfg.test_dataloader.dataset.data_prefix.seg_map_path = str(tmp_path)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'two.pth')
    report = analyze(cfg, tmp_path / 'two.pth', NAMES[:3], tmp_path / 'out', 'cpu')
    record = json.loads((report.parent / 'analysis.json').read_text('utf-8'))
    assert len(record['analyses']['eval']['section']['tables'][0]['rows']) == 2
    assert record['analyses']['calibration']['section']['facts']['ECE'] > 0
