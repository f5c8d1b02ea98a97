"""Pictures for a classifier of mmpretrain, by its inferencer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.config import Config
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.structures import DataSample
from torch import nn

from mmoverlock.visualization.drawing import Bar, draw_bars

from .names import name_of


class Task:
    """Predict, report and draw; see :class:`mmoverlock.apis.Inferencer`."""

    def __init__(self, cfg: Config, model: nn.Module, topk: int, score_thr: float):
        model._config = cfg
        self.classes, self.topk = model.dataset_meta['classes'], topk
        self.inferencer = ImageClassificationInferencer(
            model, pretrained=False, classes=self.classes
        )
        # A data set that reads no files, such as CIFAR, gives its arrays as the model needs them.
        kinds = [str(step.get('type')) for step in cfg.test_dataloader.dataset.pipeline]
        arrays = not any('LoadImage' in kind for kind in kinds)
        self.rgb = arrays and not getattr(model.data_preprocessor, 'to_rgb', False)

    def predict(self, picture: np.ndarray) -> DataSample:
        picture = np.ascontiguousarray(picture[..., ::-1]) if self.rgb else picture
        (batch,) = self.inferencer.preprocess([picture])
        return self.inferencer.forward(batch)[0]

    def result(self, sample: DataSample) -> dict[str, Any]:
        every = sample.pred_score.float().cpu()
        scores, labels = every.topk(min(self.topk, len(every)))
        return dict(
            top=[
                dict(label=label, name=name_of(self.classes, label), score=score)
                for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
            ]
        )

    def draw(self, picture: np.ndarray, sample: DataSample) -> np.ndarray:
        top = self.result(sample)['top']
        return draw_bars(picture, [Bar(one['name'], one['score']) for one in top])
