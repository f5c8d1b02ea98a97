"""What curves come to, by hand."""

import csv
import io

import pytest

from mmoverlock.analysis.curves.runs import Curve, Point, Run, read_runs
from mmoverlock.analysis.curves.summary import (
    TrainTime,
    last_and_best,
    less_is_better,
    time_rows,
    to_csv,
    train_time,
    value_rows,
)  # fmt: skip

from ...run_logs import classifier, detector, write_log

NAN = float('nan')


def curve(*values: float, kind: str = 'metric') -> Curve:
    return Curve(kind, True, [Point(i, None, None, value) for i, value in enumerate(values, 1)])


@pytest.mark.parametrize(
    ('values', 'less', 'last', 'best'),
    [
        ((0.1, 0.3, 0.2), False, 3, 2),
        ((0.1, 0.3, 0.2), True, 3, 1),
        ((0.3, 0.3, NAN, -1.0), False, 2, 1),  # the first of equal ones; a gap; nothing to find
    ],
)
def test_last_and_best(values, less, last, best):
    found = last_and_best(curve(*values), less)
    assert [point.step for point in found] == [last, best]


def test_nothing_is_best_of_nothing():
    assert last_and_best(curve(NAN, -1.0), False) is None


@pytest.mark.parametrize(
    ('key', 'kind', 'less'),
    [
        ('val/cross_entropy', 'loss', True),
        ('val/ece', 'metric', True),
        ('coco/bbox_mAP', 'metric', False),
        ('single-label/precision', 'metric', False),
    ],
)
def test_direction(key, kind, less):
    assert less_is_better(key, kind) is less


def test_train_time_leaves_out_the_first_of_each_epoch(tmp_path):
    times = ((1, 9.0), (1, 1.0), (1, 2.0), (2, 9.0), (2, 3.0), (2, 2.0), (3, 4.0))
    rows = [
        dict(loss=1.0, time=time, epoch=epoch, step=step)
        for (epoch, time), step in zip(times, (1, 2, 3, 4, 5, 6, 7), strict=True)
    ]
    write_log(tmp_path, rows)
    (run,) = read_runs([tmp_path])  # means 1.5, 2.5 and 4, whose variance is 38/36
    assert train_time(run) == TrainTime(
        pytest.approx(8 / 3), pytest.approx((38 / 36) ** 0.5), (3, 4.0), (1, 1.5)
    )


def test_train_time_of_a_run_by_iteration(tmp_path):
    (run,) = read_runs([detector(tmp_path)])  # 1, 2 and 3 seconds
    assert train_time(run) == TrainTime(2.5, None, None, None)


def test_train_time_may_not_be_known():
    assert train_time(Run('a', {'loss': curve(1.0)})) is None
    assert time_rows([Run('a', {'loss': curve(1.0)})]) == [
        {'run': 'a', 'trained until': 'step 1', 'in': '-', 's/iteration': '-',
         'slowest epoch': '-', 'fastest epoch': '-'}
    ]  # fmt: skip


def test_tables(tmp_path):
    runs = read_runs([detector(tmp_path / 'a')])
    rows = {row['key']: row for row in value_rows(runs)}
    assert rows['coco/bbox_mAP'] == {
        'key': 'coco/bbox_mAP', 'run': 'a', 'last': '0.2000', 'last at': 'step 30',
        'best': '0.3000', 'best at': 'step 20',
    }  # fmt: skip
    assert rows['coco/bbox_mAP_l']['best'] == '-'
    assert rows['loss']['best at'] == 'step 30' and 'lr' not in rows
    (row,) = time_rows(runs)
    assert (row['in'], row['s/iteration']) == ('0:01:00', '2.5000')  # 10 + 20 + 30 seconds


def test_points_as_csv(tmp_path):
    runs = read_runs([classifier(tmp_path / '狗, 猫'), detector(tmp_path / 'b')])
    rows = list(csv.DictReader(io.StringIO(to_csv(runs))))
    assert len(rows) == sum(len(one.points) for run in runs for one in run.curves.values())
    assert rows[0] == dict(run='狗, 猫', key='lr', step='1', epoch='0.25', time='0.5', value='0.1')
    last = [row for row in rows if row['key'] == 'coco/bbox_mAP'][-1]
    assert last == dict(run='b', key='coco/bbox_mAP', step='30', epoch='', time='60', value='0.2')
