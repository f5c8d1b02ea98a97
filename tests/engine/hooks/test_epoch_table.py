"""The table of epochs and the curves, in runs of a tiny model."""

import csv
import math

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmoverlock.engine.hooks.epoch_table import COLUMNS, read_epochs


class Model(BaseModel):
    """Its losses are the numbers of the iterations, from 1."""

    def __init__(self, aux=True, bad=math.inf):
        super().__init__()
        self.fc = nn.Linear(1, 1)
        self.aux, self.bad, self.calls = aux, bad, 0

    def forward(self, inputs, mode='tensor'):
        if mode != 'loss':
            return [inputs]
        self.calls += 1
        zero = 0 * self.fc(inputs).sum()
        losses = dict(loss=zero + (math.nan if self.calls >= self.bad else self.calls))
        return {**losses, 'loss_aux': zero + 0.4 * self.calls} if self.aux else losses


class Score(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return {'accuracy/top1': 50.0, 'accuracy/top5': 90.0, 'val/cross_entropy': 1.25}


class Stop(Exception):
    """As if the power failed."""


class StopBeforeVal(HOOKS.get('CheckpointGuard')):
    def before_val_epoch(self, runner):
        if runner.epoch == 2:
            raise Stop


def run(work_dir, epochs, resume=False, hooks=(), model=None, val_interval=1):
    data = [dict(inputs=torch.ones(1)) for _ in range(6)]
    runner = Runner(
        model or Model(),
        work_dir=str(work_dir),
        train_dataloader=DataLoader(data, 2),  # three iterations
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=val_interval),
        val_dataloader=DataLoader(data, 2),
        val_cfg=dict(),
        val_evaluator=[Score()],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='EpochTable'), dict(type='DrawCurves'), *hooks],
        resume=resume,
        experiment_name=f'{work_dir.name}_{epochs}_{resume}',
        log_level='ERROR',
    )
    runner.train()
    return runner


def test_table(tmp_path):
    run(tmp_path, epochs=2)
    text = (tmp_path / 'epochs.csv').read_text().splitlines()
    assert text[0] == 'epoch,train_loss,train_loss_aux,epoch_time,val_loss,acc_top1,acc_top5'
    first, second = read_epochs(tmp_path / 'epochs.csv')
    assert (first['epoch'], second['epoch']) == (1, 2)
    assert (first['train_loss'], second['train_loss']) == (2, 5)  # means of 1, 2, 3 and 4, 5, 6
    assert first['train_loss_aux'] == pytest.approx(0.8)
    assert 0 < first['epoch_time'] < 10
    assert (first['val_loss'], first['acc_top1'], first['acc_top5']) == (1.25, 50, 90)
    assert (tmp_path / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert not (tmp_path / 'epochs.tmp').exists()


def test_what_an_epoch_does_not_have_is_empty(tmp_path):
    run(tmp_path, epochs=2, model=Model(aux=False), val_interval=2)
    with open(tmp_path / 'epochs.csv', newline='') as file:
        first, second = csv.DictReader(file)
    empty = {name for name in COLUMNS if first[name] == ''}
    assert empty == {'train_loss_aux', 'val_loss', 'acc_top1', 'acc_top5'}
    assert {name for name in COLUMNS if second[name] == ''} == {'train_loss_aux'}


def test_a_resumed_run_adds_its_rows(tmp_path):
    run(tmp_path, epochs=2)
    before = (tmp_path / 'epochs.csv').read_text()
    run(tmp_path, epochs=4, resume=True)
    assert (tmp_path / 'epochs.csv').read_text().startswith(before)
    assert [row['epoch'] for row in read_epochs(tmp_path / 'epochs.csv')] == [1, 2, 3, 4]


def test_an_epoch_trained_again_replaces_its_row(tmp_path):
    """Killed in epoch 3, whose predecessor's checkpoint is lost: resumed from epoch 1."""
    run(tmp_path, epochs=3)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    run(tmp_path, epochs=2, resume=True, model=Model())
    rows = read_epochs(tmp_path / 'epochs.csv')
    assert [(row['epoch'], row['train_loss']) for row in rows] == [(1, 2), (2, 2)]


def test_a_run_killed_before_validation_keeps_its_row(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path, epochs=3, hooks=[StopBeforeVal()])
    rows = read_epochs(tmp_path / 'epochs.csv')
    assert [row['epoch'] for row in rows] == [1, 2] and 'val_loss' not in rows[1]
    run(tmp_path, epochs=3, resume=True)
    rows = read_epochs(tmp_path / 'epochs.csv')
    assert [row['epoch'] for row in rows] == [1, 2, 3] and 'val_loss' in rows[2]


def test_a_new_run_begins_a_new_table(tmp_path):
    run(tmp_path, epochs=3)
    run(tmp_path, epochs=1)
    assert [row['epoch'] for row in read_epochs(tmp_path / 'epochs.csv')] == [1]


def test_evaluation_alone_writes_no_table(tmp_path):
    hook = HOOKS.build(dict(type='EpochTable'))

    class Evaluating:
        epoch = 0

    hook.after_val_epoch(Evaluating(), {'accuracy/top1': 1.0})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('text', 'message'),
    [('a,b\n1,2\n', 'is no table of epochs'), (','.join(COLUMNS) + '\n1,x\n', 'line 2: not a row')],
)
def test_another_table_is_told(tmp_path, text, message):
    (tmp_path / 'epochs.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_epochs(tmp_path / 'epochs.csv')


HEAD = ','.join(COLUMNS)


def test_a_last_line_that_is_cut_is_left_out(tmp_path, monkeypatch):
    told = []
    path = 'mmoverlock.engine.hooks.epoch_table.print_log'
    monkeypatch.setattr(path, lambda text, **_: told.append(text))
    (tmp_path / 'epochs.csv').write_text(f'{HEAD}\n1,2,,3,,,\n2,1.5')
    assert read_epochs(tmp_path / 'epochs.csv') == [dict(epoch=1, train_loss=2, epoch_time=3)]
    assert told == [f"'{tmp_path / 'epochs.csv'}': its last line is cut and left out"]


@pytest.mark.parametrize('text', ['', 'mine,too\n1,2\n', f'{HEAD}\n1,x,,,,,\n', f'{HEAD}\n\0\n\n'])
def test_a_damaged_table_does_not_end_a_resumed_run(tmp_path, text):
    run(tmp_path, epochs=1)
    (tmp_path / 'epochs.csv').write_text(text)
    run(tmp_path, epochs=2, resume=True)
    assert [row['epoch'] for row in read_epochs(tmp_path / 'epochs.csv')] == [2]
    assert (tmp_path / 'epochs_old.csv').read_text() == text  # whoever's it is
