"""Detectors of mmdet, as they are exported: pictures in; boxes, scores, labels and masks out."""

from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmengine.config import Config
from torch import Tensor, nn

from .detection.dense import Dense, is_plain_dense
from .detection.pyramid import Pyramid
from .detection.refusals import inherits, refuse
from .detection.roi_heads import Boxes, Masks, is_plain_roi_head
from .exportable import Size

SUPPORTED = (
    'Mask, Faster and Cascade R-CNN; RetinaNet and other single-stage detectors whose heads '
    'predict as RetinaNet, FCOS or ATSS do'
)


class ExportedDetector(nn.Module):
    """(B, 3, H, W) → boxes (B, N, 4): x1, y1, x2, y2 in pixels; scores (B, N), falling; labels
    (B, N), int64; if the model makes masks, their probabilities (B, N, h, w) inside the boxes.

    N is the `max_per_img` of the model's `test_cfg`. Rows without an object have the score 0, the
    label -1, and zeros in all else.

    Raises:
        ValueError: if the detector, or a setting of its `test_cfg`, cannot be exported.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        dense = getattr(model, 'rpn_head', None) or getattr(model, 'bbox_head', None)
        roi_head = getattr(model, 'roi_head', None)
        if not (
            inherits(model, ('predict', 'extract_feat'), SingleStageDetector, TwoStageDetector)
            and is_plain_dense(dense)
            and (roi_head is None or is_plain_roi_head(roi_head))
        ):
            refuse(f"model.type: '{type(model).__name__}'", SUPPORTED)
        self.pyramid = Pyramid(model)
        self.boxes = self.masks = None
        self.dense = Dense(dense)
        if roi_head is not None:
            self.boxes = Boxes(roi_head)
            self.masks = Masks(roi_head) if roi_head.with_mask else None
        self.outputs = ('boxes', 'scores', 'labels') + (('masks',) if self.masks else ())

    def forward(self, image: Tensor, size: Size | None = None) -> tuple[Tensor, ...]:
        size = image.shape[-2:] if size is None else size
        features = self.pyramid(image)
        boxes, scores, labels = self.dense(features, size)
        if self.boxes is not None:
            boxes, scores, labels = self.boxes(features, boxes, scores >= 0, size)
        there = scores >= 0
        masks = () if self.masks is None else (self.masks(features, boxes, labels, there),)
        boxes = boxes.masked_fill(~there[..., None], 0)
        return boxes, scores.clamp(min=0), labels.masked_fill(~there, -1), *masks


def exportable(model: nn.Module, cfg: Config) -> ExportedDetector:
    """
    Raises:
        ValueError: see :class:`ExportedDetector`.
    """
    return ExportedDetector(model)
