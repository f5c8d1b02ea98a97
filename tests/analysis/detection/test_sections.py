"""The analyses of detectors, of predictions made by hand, in the cases that are easy to forget."""

import json

import numpy as np
import pytest
from PIL import Image

from mmoverlock.analysis.analysis import Options
from mmoverlock.analysis.catalog import find_analysis

from .scenes import SIZE, found, sample, truth

NAMES = 'eval', 'confusion', 'calibration', 'errors', 'predictions'
ONE, OTHER = (0, 10, 10, 30, 20), (1, 50, 40, 30, 30)


class Subject:
    task = 'detection'

    def __init__(self, classes):
        self.classes, self.colours = classes, [(200, 0, 0)] * len(classes)

    def picture(self, index):
        return np.full((*SIZE, 3), 128, np.uint8)

    def name(self, index):
        return f'{index}.png'


def right_and_wrong(masks=False):
    return [
        sample(found((*ONE, 0.9), masks=masks), truth(ONE, OTHER, masks=masks), 0),
        sample(found((*OTHER, 0.8), (*ONE, 0.7), masks=masks), truth(OTHER, masks=masks), 1),
        sample(found(masks=masks), truth(masks=masks), 2),
    ]


CASES = {
    'masks': (right_and_wrong(masks=True), 2),
    'a class': ([sample(found((*ONE, 0.9)), truth(ONE))], 1),
    'no detections': ([sample(found(), truth(ONE))], 2),
    'no objects': ([sample(found((*ONE, 0.9)), truth())], 2),
    'crowds alone': ([sample(found((*ONE, 0.9)), truth(ONE, crowds=[0]))], 2),
    'no annotations': ([sample(found((*ONE, 0.9)), None)], 2),
    'empty masks': (
        [sample(found((0, 0, 0, 0, 0, 0.9), masks=True), truth((0, 5, 5, 0, 0), masks=True))],
        1,
    ),
}


def analysed(name, samples, classes, folder):
    analysis = find_analysis('detection', name)(Subject(classes), folder, Options())
    for one in samples:
        analysis.see(one)
    return analysis.finish()


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('name', NAMES)
def test_files_and_rows(name, case, tmp_path):
    samples, number = CASES[case]
    section = analysed(name, samples, [f'class {i}' for i in range(number)], tmp_path)
    files = [*section.files, *(picture.file for picture in section.pictures)]
    assert sorted(files) == sorted(path.name for path in tmp_path.iterdir())
    for picture in section.pictures:
        assert min(Image.open(tmp_path / picture.file).size) > 100
    assert all(len(row) == len(table.columns) for table in section.tables for row in table.rows)
    json.dumps(section.to_dict(), allow_nan=False)  # no numpy types, no NaN
    assert section.text or section.pictures


def test_evaluation(tmp_path):
    section = analysed('eval', right_and_wrong(masks=True), ['a', '猫'], tmp_path)
    # Of both classes one of the objects: class a has one, which is found; 猫 two, of which one is.
    assert section.facts['box AP50'] == pytest.approx((1 + 51 / 101) / 2)
    assert section.facts['box AP50'] == section.facts['mask AP50']
    metrics = json.loads((tmp_path / 'eval_metrics.json').read_text())
    assert metrics['segm']['classes'][1]['objects'] == 2
    curves = np.load(tmp_path / 'pr_curves.npz')
    assert curves['bbox'].shape == (10, 101, 2) and curves['classes'].tolist() == ['a', '猫']


def test_confusion(tmp_path):
    section = analysed('confusion', right_and_wrong(), ['a', 'b'], tmp_path)
    assert np.load(tmp_path / 'confusion_matrix.npy').tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert list(section.facts.values()) == [3, 2, 0, 1, 1]
    (classes,) = section.tables  # no pair is confused
    assert list(classes.rows) == [['a', 1, 1, 0, 0, 1], ['b', 2, 1, 0, 1, 0]]


def test_calibration(tmp_path):
    section = analysed('calibration', right_and_wrong(), ['a', 'b'], tmp_path)
    # Right with 0.9 and 0.8, wrong with 0.7: three bins of a detection each.
    assert section.facts['D-ECE'] == pytest.approx((0.1 + 0.2 + 0.7) / 3)
    assert section.facts['MCE'] == pytest.approx(0.7)
    saved = np.load(tmp_path / 'calibration_stats.npz')
    assert saved['right'].tolist() == [True, True, False]


def test_worst_and_best(tmp_path):
    analysis = find_analysis('detection', 'predictions')(Subject(['a', 'b']), tmp_path, Options())
    for one in right_and_wrong():
        analysis.see(one)
    assert [one.index for *_, one in analysis.worst] == [0, 1, 2]
    assert [caption for _, caption, _ in analysis.worst[:2]] == [
        'F1 0.67: 1 missed, 0 false', 'F1 0.67: 0 missed, 1 false'
    ]  # fmt: skip
    assert [one.index for *_, one in analysis.best] == [2, 0, 1]
