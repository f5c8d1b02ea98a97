"""Detectors as they are exported: pictures in, boxes, scores, labels and masks out."""

from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from torch import Tensor, nn

from .detection.boxes import Size
from .detection.dense import Dense, is_plain_dense
from .detection.refusals import inherits, refuse
from .detection.roi_heads import Boxes, Masks, is_plain_roi_head

SUPPORTED = (
    'Mask, Faster and Cascade R-CNN; RetinaNet and other single-stage detectors whose heads '
    'predict as RetinaNet, FCOS or ATSS do'
)


class Detector(nn.Module):
    """
    Args:
        model: A detector of mmdet in evaluation mode.

    Raises:
        ValueError: if it, or a setting of its `test_cfg`, is none that can be exported.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.boxes = self.masks = None
        dense = getattr(model, 'rpn_head', None) or getattr(model, 'bbox_head', None)
        roi_head = getattr(model, 'roi_head', None)
        plain = inherits(model, ('predict',), SingleStageDetector, TwoStageDetector)
        plain = plain and is_plain_dense(dense) and (roi_head is None or is_plain_roi_head(roi_head))
        if not plain:
            refuse(f"model.type: '{type(model).__name__}'", SUPPORTED)
        self.dense = Dense(dense)
        if roi_head is not None:
            self.boxes = Boxes(roi_head)
            self.masks = Masks(roi_head) if roi_head.with_mask else None
        self.outputs = ('boxes', 'scores', 'labels') + (('masks',) if self.masks else ())

    def forward(self, image: Tensor, size: Size | None = None) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, 3, H, W), normalised, padded as the network needs it.
            size: Height and width before it was padded; boxes end there. None: it was not padded.

        Returns:
            Boxes (B, N, 4): x1, y1, x2, y2 in pixels. Scores (B, N), falling. Labels (B, N), int64.
            If the model makes masks, their probabilities (B, N, h, w) inside the boxes. N is the
            `max_per_img` of its `test_cfg`; rows without an object have the score 0 and the label
            -1, and are otherwise zero.
        """
        size = image.shape[-2:] if size is None else size
        features = self.model.extract_feat(image)
        boxes, scores, labels = self.dense(features, size)
        if self.boxes is not None:
            boxes, scores, labels = self.boxes(features, boxes, scores >= 0, size)
        there = scores >= 0
        outputs = boxes * there[..., None], scores.clamp(min=0), labels.masked_fill(~there, -1)
        if self.masks is not None:
            outputs += (self.masks(features, boxes, labels, there),)
        return outputs
