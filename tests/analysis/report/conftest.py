"""A record as analyses of a classifier leave it: large and small tables, pictures, two calls."""

import numpy as np
import pytest
from PIL import Image

from mmoverlock.analysis.record import Record
from mmoverlock.analysis.section import Picture, Section, Table

NAMES = ['<b>&"bold"</b>', '数字 7', *(f'class {number}' for number in range(998))]


def facts(**changes) -> dict:
    return {
        **dict(task='classification', config='configs/my & own.py', checkpoint='epoch_9.pth'),
        **dict(dataset='CustomDataset', images=12345, images_in_the_set=50000, classes=1000),
        **dict(date='2026-11-28 12:00', machine='a CPU, 2 threads', versions=dict(torch='2.11.0')),
        **dict(command="mmoverlock analyze 'my & own.py' epoch_9.pth"),
        **changes,
    }


def picture(folder, name: str, width: int, height: int) -> str:
    shades = np.linspace(0, 255, width, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(shades, (height, width))).save(folder / name)
    return name


@pytest.fixture(scope='session')
def record(tmp_path_factory) -> Record:
    folder = tmp_path_factory.mktemp('analysis')
    rng = np.random.default_rng(0)
    rows = [[name, *rng.uniform(0, 1, 3).tolist(), int(rng.integers(2000))] for name in NAMES]
    rows[2][1] = None
    columns = ['class', 'precision', 'recall', 'F1', 'images']
    few = [['c', 10], ['a', 9], ['b', 100], ['d', None]]
    record = Record(folder, str(folder / 'epoch_9.pth'))
    record.sections['confusion'] = Section(
        'Confusion',
        tables=[Table('Pairs', ['pair', 'images'], few)],
        pictures=[
            Picture('Confusion matrix', picture(folder, 'matrix.png', 900, 800), 'Rows are true.'),
            Picture('Lost', 'lost.png'),
        ],
    )
    record.sections['eval'] = Section(
        'Evaluation',
        {
            'top-1 (%)': 93.456,
            'AP': 0.585,
            'images': 12345,
            'worst class': NAMES[1],
            'methods': 'Grad-CAM, Grad-CAM++, EigenCAM',
            'F1': None,
        },
        ['The first paragraph.', 'Beware of <script>alert(1)</script>.'],
        [Table('Classes', columns, rows, 'Of every class.'), Table('None', ['class', 'AP'], [])],
        [Picture('Wide', picture(folder, 'wide.png', 1600, 300))],
        ['matrix.png', 'gone.json'],
    )
    record.facts = dict(eval=facts(), confusion=facts(), speed=facts(machine='a GPU', images=50000))
    record.sections['speed'] = Section('Speed', {'images per second': 1234567.8})
    return record
