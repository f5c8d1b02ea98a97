"""Pictures for a segmentor of mmseg, by its inferencer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.config import Config
from mmseg.apis import MMSegInferencer
from mmseg.structures import SegDataSample
from torch import nn

from mmoverlock.visualization.drawing import Bar, draw_bars, paint

from .inferencers import inferencer_of

OPACITY = 0.6  # of the colours over the picture
LISTED = 8  # classes below the picture


class Task:
    """Predict, report and draw; see :class:`mmoverlock.apis.Inferencer`."""

    def __init__(self, cfg: Config, model: nn.Module, topk: int, score_thr: float):
        self.classes = model.dataset_meta['classes']
        self.palette = model.dataset_meta['palette']
        self.inferencer = inferencer_of(MMSegInferencer, cfg, model, 'mmseg.SegLocalVisualizer')

    def predict(self, picture: np.ndarray) -> SegDataSample:
        (batch,) = self.inferencer.preprocess([picture])
        return self.inferencer.forward(batch)[0].cpu()

    def result(self, sample: SegDataSample) -> dict[str, Any]:
        labels = sample.pred_sem_seg.data[0].numpy()
        found, counts = np.unique(labels, return_counts=True)
        classes = [
            dict(label=label, name=self.classes[label], share=count / labels.size)
            for label, count in zip(found.tolist(), counts.tolist(), strict=True)
        ]
        return dict(labels=labels, classes=sorted(classes, key=lambda one: -one['share']))

    def draw(self, picture: np.ndarray, sample: SegDataSample) -> np.ndarray:
        result, palette = self.result(sample), self.palette
        drawn = picture.copy()
        for one in result['classes']:
            paint(drawn, result['labels'] == one['label'], palette[one['label']], OPACITY)
        largest = result['classes'][:LISTED]
        return draw_bars(
            drawn, [Bar(one['name'], one['share'], palette[one['label']]) for one in largest]
        )
