"""Detection in large pictures, tile by tile, by supervision's InferenceSlicer."""

from typing import Any

import mmcv
import numpy as np
from torch import nn

from mmoverlock.runtime.masks import run_lengths

from .tasks import Detector

OVERLAP = 0.2  # of neighbouring tiles, as a share of their side
SAME = 0.5  # two objects of a class are one if they share this much of the smaller one


class SlicedDetector(Detector):
    """Finds objects in overlapping tiles, and those too long for the overlap in the whole picture.

    An object that is no longer than the overlap lies in one tile completely. A longer one may be
    cut by all tiles; so the whole picture, reduced to the size of a tile, is searched as well. Of
    two objects of one class of which the smaller lies mostly in the larger, by their masks if there
    are any, the one with the better score stays.

    Args:
        model, steps, topk, score_thr: As for every task.
        side: Side of the tiles in pixels. A picture that is no larger is not cut.

    Raises:
        ValueError: if supervision is not installed.
    """

    def __init__(self, model: nn.Module, steps: list[dict], topk: int, score_thr: float, side: int):
        super().__init__(model, steps, topk, score_thr)
        self.side, self.overlap = side, round(OVERLAP * side)
        try:
            import supervision
        except ImportError as error:
            raise ValueError(
                f"slice={side} needs supervision: pip install 'mmoverlock[data]'"
            ) from error
        self.library = supervision
        self.slicer = supervision.InferenceSlicer(
            self._tile, side, self.overlap, supervision.OverlapFilter.NONE
        )

    def predict(self, picture: np.ndarray) -> dict[str, Any]:
        if max(picture.shape[:2]) <= self.side:
            return super().predict(picture)
        found = self.library.Detections.merge([self.slicer(picture), self._whole(picture)])
        found = found.with_nms(SAME, overlap_metric=self.library.OverlapMetric.IOS)
        return dict(objects=self._objects(found))

    def _tile(self, picture: np.ndarray) -> Any:
        """What is in a picture, as supervision's Detections."""
        objects = super().predict(np.ascontiguousarray(picture))['objects']
        if not objects:
            return self.library.Detections.empty()
        height, width = picture.shape[:2]
        mask = None
        if 'mask' in objects[0]:
            everything = np.tile([0, 0, width - 1, height - 1], (len(objects), 1))
            masks = [one['mask'] for one in objects]
            mask = self.library.CompactMask.from_coco_rle(masks, everything, (height, width))
        return self.library.Detections(
            xyxy=np.array([one['box'] for one in objects], np.float32),
            mask=mask,
            confidence=np.array([one['score'] for one in objects]),
            class_id=np.array([one['label'] for one in objects]),
        )

    def _whole(self, picture: np.ndarray) -> Any:
        height, width = picture.shape[:2]
        small = mmcv.imrescale(picture, (self.side, self.side))
        found = self._tile(small)
        if len(found):
            found.xyxy *= np.array([width, height] * 2) / ([*small.shape[1::-1]] * 2)
            found.mask = None if found.mask is None else found.mask.resize((height, width))
        sides = found.xyxy[:, 2:] - found.xyxy[:, :2]
        return found[sides.max(1, initial=0) > self.overlap]

    def _objects(self, found: Any) -> list[dict[str, Any]]:
        objects = []
        for i in np.argsort(-found.confidence, kind='stable').tolist():
            label = int(found.class_id[i])
            one = dict(name=self.classes[label], label=label, score=float(found.confidence[i]))
            one['box'] = found.xyxy[i].tolist()
            if found.mask is not None:
                one['mask'] = run_lengths(found.mask[i])
            objects.append(one)
        return objects
