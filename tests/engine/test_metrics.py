"""The validation loss is the cross entropy."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from torch.nn.functional import cross_entropy

from mmoverlock.engine import ValLoss


def test_val_loss_is_the_cross_entropy():
    logits = 5 * torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 9, 3, 3, 1, 5])
    evaluator = Evaluator(dict(type='ValLoss'))
    for part in (slice(0, 4), slice(4, 6)):  # unequal batches
        pairs = zip(logits[part].softmax(1), labels[part], strict=True)
        evaluator.process([dict(pred_score=score, gt_label=label[None]) for score, label in pairs])
    expected = cross_entropy(logits, labels).item()
    assert evaluator.evaluate(6) == {'val/cross_entropy': pytest.approx(expected, rel=1e-5)}


def test_val_loss_stays_finite():
    metric = ValLoss()
    metric.process(None, [dict(pred_score=torch.tensor([1.0, 0.0]), gt_label=torch.tensor([1]))])
    assert metric.evaluate(1)['val/cross_entropy'] == pytest.approx(87.34, abs=0.01)


@pytest.mark.parametrize('sample', [dict(), dict(gt_label=torch.tensor([0, 1]))])
def test_val_loss_needs_one_true_class(sample):
    with pytest.raises(ValueError, match='ValLoss: a sample has [02] true classes, not 1'):
        ValLoss().process(None, [dict(sample, pred_score=torch.ones(2) / 2)])
