"""Pictures for a detector of mmdet, by its inferencer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import nn

from mmoverlock.utils.errors import shown
from mmoverlock.visualization.drawing import usual_colours
from mmoverlock.visualization.predictions import draw_detections

from .inferencers import inferencer_of


class Task:
    """Predict, report and draw; see :class:`mmoverlock.apis.Inferencer`."""

    def __init__(self, cfg: Config, model: nn.Module, topk: int, score_thr: float):
        self.classes, self.score_thr = model.dataset_meta['classes'], score_thr
        self.colours = usual_colours(len(self.classes))
        self.inferencer = inferencer_of(DetInferencer, cfg, model, 'mmdet.DetLocalVisualizer')

    def predict(self, picture: np.ndarray) -> DetDataSample:
        ((_, batch),) = self.inferencer.preprocess([picture])
        sample = self.inferencer.forward(batch)[0].cpu()
        if 'pred_instances' not in sample:
            raise ValueError(f'the model is not a detector: it returned {shown(sample.keys())}')
        found = sample.pred_instances
        found = found[found.scores >= self.score_thr]
        sample.pred_instances = found[found.scores.argsort(descending=True)]
        return sample

    def result(self, sample: DetDataSample) -> dict[str, Any]:
        found = self.inferencer.pred2dict(sample)
        names = dict(labels='label', scores='score', bboxes='box', masks='mask')
        columns = {names[key]: found[key] for key in names if key in found}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return dict(objects=[{'name': self.classes[row['label']], **row} for row in rows])

    def draw(self, picture: np.ndarray, sample: DetDataSample) -> np.ndarray:
        return draw_detections(picture, self.result(sample)['objects'], self.colours)
