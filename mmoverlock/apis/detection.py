"""Pictures for a detector of mmdet, by its inferencer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from pycocotools import mask as coco_mask
from torch import nn

from mmoverlock.engine.errors import shown

from .drawing import Found, draw_objects
from .names import usual_colours


class Task:
    """Predict, report and draw; see :class:`mmoverlock.apis.Inferencer`."""

    def __init__(self, cfg: Config, model: nn.Module, topk: int, score_thr: float):
        class Inferencer(DetInferencer):
            def _init_model(self, *_) -> nn.Module:
                return model

            def _init_collate(self, *_) -> Callable:
                return pseudo_collate

        self.classes, self.score_thr = model.dataset_meta['classes'], score_thr
        self.colours = usual_colours(len(self.classes))
        cfg.visualizer = dict(type='mmdet.DetLocalVisualizer')
        self.inferencer = Inferencer(cfg, device='cpu', show_progress=False)

    def predict(self, picture: np.ndarray) -> DetDataSample:
        ((_, batch),) = self.inferencer.preprocess([picture])
        sample = self.inferencer.forward(batch)[0].cpu()
        if 'pred_instances' not in sample:
            raise ValueError(f'the model finds no objects, but {shown(sample.keys())}')
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
        objects = []
        for one in self.result(sample)['objects']:
            mask = coco_mask.decode(one['mask']).astype(bool) if 'mask' in one else None
            caption = f'{one["name"]} {one["score"]:.0%}'
            objects.append(Found(caption, one['box'], self.colours[one['label']], mask))
        return draw_objects(picture, objects)
