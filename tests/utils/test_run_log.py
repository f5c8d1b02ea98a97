"""The log of a run, joined from its files."""

import pytest

from mmoverlock.utils import run_log
from mmoverlock.utils.run_log import find_logs, read_run_log

from ..run_logs import write_log


@pytest.fixture
def told(monkeypatch):
    told = []
    monkeypatch.setattr(run_log, 'print_log', lambda text, **_: told.append(text))
    return told


def trained(*steps: int, factor: float = 1.0) -> list[dict]:
    return [dict(loss=factor * step, step=step) for step in steps]


def test_a_resumed_run_goes_on_where_it_was_saved(tmp_path, told):
    """Killed after step 50, resumed from step 25 and logged at other steps."""
    write_log(tmp_path, [*trained(10, 20, 30), {'mIoU': 1.0, 'step': 30}, *trained(40, 50)])
    later = [*trained(27, 37, factor=2), {'mIoU': 3.0, 'step': 37}]
    write_log(tmp_path, later, '2026_2')
    log = read_run_log(find_logs(tmp_path))
    assert log.trained == dict(loss={10: 10, 20: 20, 27: 54, 37: 74})
    assert log.evaluated == dict(mIoU={37: 3.0})
    assert told == []


def test_a_run_that_begins_anew_replaces_the_earlier_one(tmp_path, told):
    write_log(tmp_path, [{'mIoU': 0.1, 'step': 0}, *trained(10, 20, 30)])
    path = write_log(tmp_path, trained(10, factor=3), '2026_2')
    log = read_run_log(find_logs(tmp_path))
    assert log.trained == dict(loss={10: 30}) and log.evaluated == {}
    assert told == [
        f"'{path}': training begins anew at step 10, what was logged before is left out"
    ]


def test_names_of_training_and_evaluation_do_not_meet(tmp_path):
    rows = [dict(loss=1.0, time=0.5, step=1), dict(mIoU=5.0, time=0.1, step=1)]
    log = read_run_log([write_log(tmp_path, rows)])
    assert log.trained['time'] == {1: 0.5}
    assert log.evaluated == {'mIoU': {1: 5.0}, 'val/time': {1: 0.1}}


def test_losses_of_validation_are_no_training(tmp_path):
    """MMEngine's validation loop reports the losses of a model that has them there."""
    rows = [dict(loss=1.0, step=5), dict(loss=2.0, val_loss=2.0, step=1)]
    log = read_run_log([write_log(tmp_path, rows)])
    assert log.trained == dict(loss={5: 1.0})
    assert log.evaluated == {'val/loss': {5: 2.0}, 'val_loss': {5: 2.0}}


@pytest.mark.parametrize(
    ('row', 'step', 'at'),
    [
        (dict(loss=1.0, step=10), 12, 12),  # by iteration: after the last one that was logged
        (dict(loss=1.0, step=10), 0, 10),  # not numbered
        (dict(loss=1.0, step=10, epoch=20), 20, 10),  # by epoch
    ],
)
def test_steps_of_evaluations(tmp_path, row, step, at):
    log = read_run_log([write_log(tmp_path, [row, dict(mIoU=5.0, step=step)])])
    assert log.evaluated == dict(mIoU={at: 5.0})
