"""What the models of each library say about a picture, and how it is drawn."""

from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import nn

from mmoverlock.engine.calibrators import Calibrator
from mmoverlock.utils.config import type_name
from mmoverlock.utils.errors import shown
from mmoverlock.visualization.drawing import BAR, draw_bars, draw_objects, paint, usual_colours
from mmoverlock.visualization.predictions import objects_of

OPACITY = 0.6  # of a segmentor's colours over the picture
LISTED = 8  # classes below the picture


class Task:
    """Predict by the `steps` of a test pipeline; the results are those of :class:`Inferencer`.

    ``predict`` takes pictures (H, W, 3) in BGR, ``draw`` takes and returns them in RGB; the frames
    of a video come out in one size. ``shares`` says how much of a frame each class, label and name,
    has: the sum over a video, divided by the number of frames, sums it up. ``turns`` says whether
    the pipeline turns pictures as their EXIF tags say.
    """

    name: str

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


class Classifier(Task):
    name = 'classification'
    calibrator: Calibrator | None = None  # of the scores

    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        # A data set that reads no files, such as CIFAR, gives its arrays as the model needs them.
        if not self.reads_files and not getattr(self.model.data_preprocessor, 'to_rgb', False):
            picture = np.ascontiguousarray(picture[..., ::-1])
        every = self.sample(picture).pred_score.float()
        if self.calibrator:
            every = torch.from_numpy(self.calibrator(every.numpy()[None])[0])
        scores, labels = every.topk(min(self.topk, len(every)))
        pairs = zip(labels.tolist(), scores.tolist(), strict=True)
        names = dict(enumerate(self.classes))  # the model may not tell how many there are
        return dict(top=[dict(label=i, name=names.get(i, f'class {i}'), score=s) for i, s in pairs])

    def draw(self, picture: np.ndarray, result: dict[str, Any], frame: bool = False) -> np.ndarray:
        return draw_bars(picture, [(one['name'], one['score'], BAR) for one in result['top']])

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        best = result['top'][0]
        return {(best['label'], best['name']): 1.0}


class Detector(Task):
    name = 'detection'

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

    def draw(self, picture: np.ndarray, result: dict[str, Any], frame: bool = False) -> np.ndarray:
        return draw_objects(picture, result['objects'], usual_colours(len(self.classes)))

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        return {(one['label'], one['name']): 1.0 for one in result['objects']}


class Segmentor(Task):
    name = 'segmentation'

    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        labels = self.sample(picture).pred_sem_seg.data[0].numpy()
        found, counts = np.unique(labels, return_counts=True)
        classes = [
            dict(label=label, name=self.classes[label], share=count / labels.size)
            for label, count in zip(found.tolist(), counts.tolist(), strict=True)
        ]
        return dict(labels=labels, classes=sorted(classes, key=lambda one: -one['share']))

    def draw(
        self,
        picture: np.ndarray,
        result: dict[str, Any],
        frame: bool = False,
        opacity: float = OPACITY,
    ) -> np.ndarray:
        drawn, bars = picture.copy(), []
        for one in result['classes']:
            colour = self.palette[one['label']]
            paint(drawn, result['labels'] == one['label'], colour, opacity)
            bars.append((one['name'], one['share'], colour))
        rows = min(LISTED, len(self.classes)) if frame else 0
        return draw_bars(drawn, bars[:LISTED], rows)

    def shares(self, result: dict[str, Any]) -> dict[tuple[int, str], float]:
        return {(one['label'], one['name']): one['share'] for one in result['classes']}


TASKS = {'mmpretrain': Classifier, 'mmdet': Detector, 'mmseg': Segmentor}
