"""Metrics that the libraries do not have."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class ValLoss(BaseMetric):
    """The mean cross entropy of a classifier's predictions, ``val/cross_entropy``, in nats.

    It is the negative logarithm of the score of the true class (``pred_score``, after the softmax,
    and ``gt_label`` of mmpretrain's samples), averaged over the images. Of the training loss it
    leaves out what training adds: label smoothing, mixed labels, the auxiliary head. Scores that
    float32 rounds to 0 count as its smallest normal number: a loss of 87.3.

    The name has no "loss" in it because MMEngine logs, of everything that has, a mean over several
    evaluations.

    Raises:
        ValueError: if a sample has not one true class.
    """

    default_prefix = 'val'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            labels = sample['gt_label'] if 'gt_label' in sample else torch.empty(0)
            if labels.numel() != 1:
                raise ValueError(f'ValLoss: a sample has {labels.numel()} true classes, not 1')
            score = sample['pred_score'].float()[labels.item()]
            self.results.append(-score.clamp(min=torch.finfo(torch.float32).tiny).log().item())

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return dict(cross_entropy=sum(results) / len(results))
