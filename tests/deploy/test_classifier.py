"""Which heads of mmpretrain are exported, and what becomes of their logits."""

from functools import partial

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models.heads import ClsHead, LinearClsHead, MultiLabelLinearClsHead, MultiTaskHead
from torch import nn

from mmoverlock.deploy.classifier import exportable


class Model(nn.Module):
    """A head, and a network that returns its input."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, image):
        return self.head((image,))


class OwnPredictions(ClsHead):
    def predict(self, feats, data_samples=None):
        return 'something else'


@pytest.mark.parametrize(
    'kind, options',
    [(LinearClsHead, {}), (MultiLabelLinearClsHead, dict(thr=0.5))],
    ids=['softmax', 'sigmoid'],
)
def test_scores_are_those_of_predict(kind, options):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        head = kind(num_classes=5, in_channels=8, **options).eval()
    nn.init.normal_(head.fc.weight)
    features = torch.randn(3, 8)
    with torch.no_grad():
        (scores,) = exportable(Model(head), None)(features)
        expected = torch.stack([one.pred_score for one in head.predict((features,))])
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize(
    'head, message',
    [
        (OwnPredictions, "model.head: 'OwnPredictions' predicts in a way of its own"),
        (partial(MultiTaskHead, {}), "model.head: 'MultiTaskHead' predicts in a way of its own"),
        (lambda: None, 'model.head: Model has none'),
    ],
    ids=['own', 'several', 'none'],
)
def test_other_heads_are_refused(head, message):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = Model(head())
    with pytest.raises(ValueError, match=message):
        exportable(model, None)
