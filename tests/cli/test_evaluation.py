"""--eval chooses the metrics of a config's evaluators."""

import pytest
from mmengine.config import Config

from mmoverlock.cli import evaluation


def test_metrics_are_spread_over_the_evaluators():
    cfg = Config(
        dict(
            test_evaluator=[
                dict(type='mmdet.CocoMetric', metric='proposal'),
                dict(type='IoUMetric'),
                dict(type='Accuracy', topk=(1,)),
            ]
        )
    )
    evaluation.set_metrics(cfg, ['mDice', 'bbox', 'mIoU'])
    assert cfg.test_evaluator == [
        dict(type='mmdet.CocoMetric', metric=['bbox']),
        dict(type='IoUMetric', iou_metrics=['mDice', 'mIoU']),
    ]


@pytest.mark.parametrize(
    ('given', 'classes', 'topk'),
    [({}, 10, (1, 5)), ({}, 4, (1,)), (dict(topk=1), 10, (1, 5)), (dict(topk=(1, 3)), 4, (1, 3))],
)
def test_accuracy_is_of_top1_and_top5(given, classes, topk):
    evaluators = [dict(type='Accuracy', **given), dict(type='ValLoss')]
    cfg = Config(dict(model=dict(head=dict(num_classes=classes)), test_evaluator=evaluators))
    evaluation.set_metrics(cfg, ['accuracy'])
    assert cfg.test_evaluator == [dict(type='Accuracy', topk=topk)]
