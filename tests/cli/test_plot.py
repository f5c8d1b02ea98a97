"""`mmoverlock plot`: a picture, a table of the points, and what it prints."""

import csv

import pytest

from ..run_logs import classifier, detector, write_log
from ..user import check


@pytest.fixture
def here(tmp_path, monkeypatch):
    detector(tmp_path / 'runs/a')
    detector(tmp_path / 'runs/b', (0.2, 0.4))
    classifier(tmp_path / 'runs/c')
    (tmp_path / 'runs/empty').mkdir()
    (tmp_path / 'old.png').write_text('old')
    (tmp_path / 'table.csv').write_text('old')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_runs(here, tool, capsys):
    tool('plot_runs')(['runs/a', 'runs/b'])
    assert (here / 'curves.png').read_bytes().startswith(b'\x89PNG')
    with (here / 'curves.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    found = {
        (row['run'], row['step']): row['value'] for row in rows if row['key'] == 'coco/bbox_mAP'
    }
    assert found == {
        ('a', '10'): '0.1', ('a', '20'): '0.3', ('a', '30'): '0.2',
        ('b', '10'): '0.2', ('b', '20'): '0.4',
    }  # fmt: skip
    assert {row['key'] for row in rows} == {'loss', 'lr', 'coco/bbox_mAP'}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert 'coco/bbox_mAP a 0.2000 step 30 0.3000 step 20'.split() in lines
    assert 'a step 30 0:01:00 2.5000 - -'.split() in lines


def test_options(here, tool):
    options = ['--keys', 'loss*', 'top1', '--labels', 'x', 'y', '--x', 'time', '--smooth', '0.5']
    tool('plot_runs')(
        ['runs/a', 'runs/c', *options, '--log-y', '--out', 'new.svg', '--csv', 'points.csv']
    )
    assert b'<svg' in (here / 'new.svg').read_bytes()
    with (here / 'points.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert {(row['run'], row['key']) for row in rows} == {
        ('x', 'loss'), ('x', 'loss_cls'), ('y', 'loss'), ('y', 'accuracy/top1'),
    }  # fmt: skip
    assert [row['value'] for row in rows[:3]] == ['3.0', '1.5', '1.0']  # not smoothed


def test_a_cut_log_without_validation(here, tool, capsys):
    path = write_log(here / 'runs/cut', [dict(loss=1.0, step=1), dict(loss=float('nan'), step=2)])
    with path.open('a') as file:
        file.write('{"loss": 3')
    tool('plot_runs')(['runs/cut'])
    assert (here / 'curves.csv').read_text().splitlines()[1:] == [
        'cut,loss,1,,,1.0',
        'cut,loss,2,,,nan',
    ]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['runs/none'], "'runs/none' does not exist"),
        (
            ['runs/a', 'runs/empty'],
            "'runs/empty' holds no */vis_data/scalars.json and no epochs.csv",
        ),
        (['runs/a', 'runs/a'], "'runs/a' is given twice"),
        (
            ['runs/a', '--keys', 'bbox_map'],
            "--keys: no run has 'bbox_map', but there is 'coco/bbox_mAP'",
        ),
        (['runs/a', '--labels', 'x', 'y'], '--labels: 2 for 1 runs'),
        (['runs/a', '--x', 'epoch'], "--x epoch: run 'a' does not tell the epoch of 'lr'"),
        (['runs/c/epochs.csv', '--x', 'step'], "--x step: run 'c' does not tell the step of"),
        (['runs/a', '--smooth', '1'], "'1' is not a number from 0 to below 1"),
        (['runs/a', '--out', 'old.png'], "--out: 'old.png' exists"),
        (['runs/a', '--out', 'new.jpg'], "--out: 'new.jpg' does not end in .png, .pdf, .svg"),
        (['runs/a', '--out', 'table.png'], "--csv: 'table.csv' exists"),
        (['runs/a', '--out', 'none/new.png'], "--out: the folder of 'none/new.png' does not exist"),
        (['runs/a', '--csv', '/proc/new.csv'], "'/proc/new.csv' cannot be written"),
    ],
)
def test_mistakes(here, tool, arguments, message, capsys):
    """Nothing is left, not the picture without its table either."""
    check(tool, 'plot_runs', arguments, message, here, capsys)
