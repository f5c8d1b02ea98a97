"""Which curves are drawn."""

import pytest

from mmoverlock.analysis.curves.keys import match, select
from mmoverlock.analysis.curves.runs import read_runs

from ...run_logs import classifier, detector, write_log, write_table

KNOWN = ('loss', 'loss_cls', 'lr', 'coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'val/loss')


@pytest.mark.parametrize(
    ('pattern', 'keys'),
    [
        ('loss', ['loss']),
        ('loss*', ['loss', 'loss_cls']),
        ('*loss', ['loss', 'val/loss']),
        ('bbox_mAP', ['coco/bbox_mAP']),
        ('*_mAP', ['coco/bbox_mAP', 'coco/segm_mAP']),
    ],
)
def test_patterns(pattern, keys):
    assert match(pattern, KNOWN) == keys


@pytest.mark.parametrize(
    ('pattern', 'near'),
    [
        ('loss_cl', "'loss_cls', 'loss', 'val/loss'"),
        ('mAP', "'coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP'"),
        ('xyz', "'loss', 'loss_cls', 'lr'"),
    ],
)
def test_the_nearest_names_are_listed(pattern, near):
    with pytest.raises(ValueError) as error:
        match(pattern, KNOWN)
    assert str(error.value).startswith(f"keys: no run has '{pattern}', but there is {near}")


def keys(paths, patterns=None):
    return [set(run.curves) for run in select(read_runs(paths), patterns)]


def test_usual_curves_of_one_run_have_the_parts_of_the_loss(tmp_path):
    assert keys([detector(tmp_path / 'a')]) == [{'loss', 'loss_cls', 'lr', 'coco/bbox_mAP'}]


def test_usual_curves_of_several_runs(tmp_path):
    """Nothing of epochs.csv: the scalars have it."""
    assert keys([detector(tmp_path / 'a'), classifier(tmp_path / 'b')]) == [
        {'loss', 'lr', 'coco/bbox_mAP'},
        {'loss', 'lr', 'accuracy/top1', 'val/cross_entropy'},
    ]


def test_a_table_alone_is_compared_by_its_columns(tmp_path):
    table = write_table(tmp_path / 'b', '1,3,,10,1.5,50,')
    assert keys([classifier(tmp_path / 'a'), table]) == [
        {'train_loss', 'lr', 'val_loss', 'acc_top1'},
        {'train_loss', 'val_loss', 'acc_top1'},
    ]


def test_columns_of_the_table_can_be_asked_for(tmp_path):
    assert keys([classifier(tmp_path / 'a')], ['acc_top1', 'epoch_time']) == [
        {'acc_top1', 'epoch_time'}
    ]


def test_a_run_without_main_metrics_shows_all(tmp_path):
    rows = [dict(loss=1.0, lr=1.0, step=1), {'single-label/f1-score': 3.0, 'step': 1}]
    write_log(tmp_path, rows)
    assert keys([tmp_path]) == [{'loss', 'lr', 'single-label/f1-score'}]


def test_a_key_that_some_run_has_is_left_out_of_the_others(tmp_path):
    runs = [detector(tmp_path / 'a'), classifier(tmp_path / 'b')]
    assert keys(runs, ['top1']) == [set(), {'accuracy/top1'}]
