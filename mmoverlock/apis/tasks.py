"""What the models of each library say about a picture."""

from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import nn

from mmoverlock.runtime.results import Classification, Detection, Segmentation
from mmoverlock.utils.config import type_name
from mmoverlock.utils.errors import shown
from mmoverlock.visualization.predictions import objects_of


class Task:
    """Predict by the `steps` of a test pipeline, pictures (H, W, 3) in BGR.

    The results are those of :class:`Inferencer`; with what :mod:`mmoverlock.runtime.results` has
    for each task it is a :class:`mmoverlock.runtime.pictures.Task`.
    """

    image_bits: int | None = None

    def __init__(self, model: nn.Module, steps: list[dict], topk: int, score_thr: float):
        self.model, self.topk, self.score_thr = model, topk, score_thr
        self.classes, self.palette = model.dataset_meta['classes'], model.dataset_meta['palette']
        self.pipeline = Compose([step for step in steps if 'Load' not in type_name(step)])
        loaders = [step for step in steps if 'LoadImage' in type_name(step)]
        self.reads_files = bool(loaders)
        self.turns = not any('orientation' in str(step.get('color_type')) for step in loaders)

    def sample(self, picture: np.ndarray) -> Any:
        """The library's data sample for a picture, on the CPU."""
        size = picture.shape[:2]
        data = self.pipeline(dict(img=picture, img_path=None, img_shape=size, ori_shape=size))
        with torch.no_grad():
            return self.model.test_step(pseudo_collate([data]))[0].cpu()


class Classifier(Task, Classification):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        # A data set that reads no files, such as CIFAR, gives its arrays as the model needs them.
        if not self.reads_files and not getattr(self.model.data_preprocessor, 'to_rgb', False):
            picture = np.ascontiguousarray(picture[..., ::-1])
        return self.result(self.sample(picture).pred_score.float().numpy())


class Detector(Task, Detection):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        from mmdet.structures.mask import encode_mask_results, mask2bbox

        sample = self.sample(picture)
        if 'pred_instances' not in sample:
            raise ValueError(f'the model is not a detector: it returned {shown(sample.keys())}')
        found = sample.pred_instances
        found = dict(found[found.scores >= self.score_thr].items())
        if 'masks' in found:
            if 'bboxes' not in found or not found['bboxes'].any():  # such as SOLO
                found['bboxes'] = mask2bbox(found['masks'])
            masks = encode_mask_results(found['masks'])
            found['masks'] = [{**mask, 'counts': mask['counts'].decode()} for mask in masks]
        return dict(objects=objects_of(found, self.classes, self.score_thr))


class Segmentor(Task, Segmentation):
    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        return self.result(self.sample(picture).pred_sem_seg.data[0].numpy())


TASKS = {'mmpretrain': Classifier, 'mmdet': Detector, 'mmseg': Segmentor}
