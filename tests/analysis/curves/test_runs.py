"""Runs by the logs they left."""

import math
from pathlib import Path

import pytest

from mmoverlock.analysis.curves.counters import elapsed, steps_per_epoch
from mmoverlock.analysis.curves.runs import Point, kind_of, read_runs, short_names

from ...run_logs import classifier, detector, write_log, write_table


def test_points_know_step_epoch_and_time(tmp_path):
    """4 steps an epoch, half a second each."""
    (run,) = read_runs([classifier(tmp_path / 'a')])
    loss, top1 = run.curves['loss'].points, run.curves['accuracy/top1'].points
    assert loss[:3] == [(1, 0.25, 0.5, 8.0), (3, 0.75, 1.5, 8 / 3), (5, 1.25, 2.5, 1.6)]
    assert top1 == [(3, 1, 1.5, 51), (7, 2, 3.5, 52), (11, 3, 5.5, 53)]
    assert run.curves['acc_top1'].points == top1  # of epochs.csv
    assert run.curves['train_loss'].points[0] == Point(3, 1, 1.5, 5.0)


def test_a_table_alone_knows_epochs_and_time(tmp_path):
    path = write_table(tmp_path, '1,3,,10,,50,', '2,2,,12,,60,')
    (run,) = read_runs([path])
    assert run.curves['acc_top1'].points == [(None, 1, 10.0, 50), (None, 2, 22.0, 60)]
    assert 'val_loss' not in run.curves and run.name == tmp_path.name


def test_a_run_by_iteration_knows_no_epochs(tmp_path):
    (run,) = read_runs([detector(tmp_path / 'a')])
    assert run.curves['coco/bbox_mAP'].points[:2] == [(10, None, 10.0, 0.1), (20, None, 30.0, 0.3)]


def test_what_a_run_may_be(tmp_path):
    path = write_log(tmp_path / 'a', [dict(loss=1.0, step=1)])
    write_log(tmp_path / 'a', [dict(loss=2.0, step=2)], '2026_2')
    first = [(1, None, None, 1.0)]
    for given, points in (
        (tmp_path / 'a', [*first, (2, None, None, 2.0)]),
        (path.parents[1], first),
        (path.parent, first),
        (path, first),
    ):
        (run,) = read_runs([given])
        assert run.curves['loss'].points == points


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['/w/a'], ['a']),
        (['/w/a/2026_1/vis_data/scalars.json'], ['2026_1']),
        (['/w/a/epochs.csv'], ['a']),
        (['/w/a', '/w/b'], ['a', 'b']),
        (['/w/a/x', '/w/b/x'], ['a', 'b']),
        (['/w/a/x', '/w/a/y', '/w/b/x'], ['a/x', 'a/y', 'b/x']),
        (['/w/a', '/w/a/2026_1'], ['a', 'a/2026_1']),
        (['/w/a/2026_1/vis_data/scalars.json', '/w/a/2026_2/vis_data/scalars.json'], ['2026_1', '2026_2']),
        (['/w/a/epochs.csv', '/w/b'], ['a/epochs.csv', 'b']),
    ],
)  # fmt: skip
def test_names_are_what_differs(paths, names):
    assert short_names([Path(path) for path in paths]) == names


@pytest.mark.parametrize(
    ('name', 'evaluated', 'kind'),
    [
        ('loss', False, 'loss'),
        ('decode.loss_ce', False, 'loss'),
        ('val/cross_entropy', True, 'loss'),
        ('base_lr', False, 'learning rate'),
        ('data_time', False, 'seconds per iteration'),
        ('epoch_time', True, 'seconds per epoch'),
        ('memory', False, 'memory (MB)'),
        ('decode.acc_seg', False, 'metric'),
        ('mIoU', True, 'metric'),
        ('grad_norm', False, 'grad_norm'),
    ],
)
def test_kinds(name, evaluated, kind):
    assert kind_of(name, evaluated) == kind


def test_steps_per_epoch():
    """Of 23, logged at the 10th and the 20th; the last epoch is broken off."""
    assert steps_per_epoch({10: 1, 20: 1, 33: 2, 43: 2, 56: 3}) == 23
    assert steps_per_epoch({10: 1, 20: 1}) == 20
    assert steps_per_epoch({}) is None


def test_time_goes_on_from_step_to_step():
    assert elapsed({10: 0.5, 20: math.nan, 30: 1.0}) == {10: 5.0, 30: 25.0}


def test_faulty_runs(tmp_path):
    run, other = detector(tmp_path / 'a'), detector(tmp_path / 'b')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'run.log').write_text('loss: 1')
    (tmp_path / 'cut.json').write_text('{"loss": 1')
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    for paths, labels, message in (
        ([tmp_path / 'none'], None, "none' does not exist"),
        ([tmp_path / 'empty'], None, r'holds no \*/vis_data/scalars.json and no epochs.csv$'),
        ([tmp_path], None, r'but there are runs below it: .*\*$'),
        ([tmp_path / 'run.log'], None, 'is no run: neither a folder nor'),
        ([tmp_path / 'cut.json'], None, "cut.json': nothing that can be read"),
        ([write_table(tmp_path / 'new')], None, "epochs.csv': nothing that can be read"),
        ([tmp_path / 'other.csv'], None, 'is no table of epochs'),
        ([run, run / '../a'], None, 'is given twice'),
        ([run, other], ['x'], '^labels: 1 for 2 runs'),
        ([run, other], ['x', 'x'], "^labels: 'x' names two runs"),
    ):
        with pytest.raises(ValueError, match=message):
            read_runs(paths, labels)
