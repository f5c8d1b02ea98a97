"""The second stage: boxes from proposals, refined once or in a cascade, and their masks."""

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import Tensor, nn

from ..exportable import Size
from .boxes import decode
from .nms import suppress
from .refusals import check_nms, inherits, refuse
from .roi_align import Regions, regions_of
from .rows import ABSENT, compute_on, take


def is_plain_roi_head(head: nn.Module) -> bool:
    """Whether a head predicts as that of Mask R-CNN or Cascade R-CNN does."""
    methods = 'predict', 'predict_bbox', 'predict_mask', '_bbox_forward', '_mask_forward'
    return inherits(head, methods, StandardRoIHead, CascadeRoIHead)


def stages(part: nn.Module) -> list[nn.Module]:
    """The stages of a head or extractor; a plain one is one stage."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]


class Boxes(nn.Module):
    """
    Args:
        head: A head for which :func:`is_plain_roi_head` holds.

    Raises:
        ValueError: if a part of it makes its results in a way of its own.
    """

    def __init__(self, head: nn.Module):
        super().__init__()
        config = head.test_cfg
        self.iou_threshold, self.agnostic = check_nms(config.get('nms'), 'test_cfg.rcnn')
        self.count, self.threshold = config.max_per_img, config.score_thr
        self.heads = nn.ModuleList(stages(head.bbox_head))
        self.regions = nn.ModuleList(map(Regions, stages(head.bbox_roi_extractor)))
        if head.with_shared_head:
            refuse(f"shared_head: '{type(head.shared_head).__name__}'", 'none')
        for one in self.heads:
            plain = inherits(one, ('predict_by_feat', '_predict_by_feat_single'), BBoxHead)
            if not plain or one.custom_cls_channels or not (one.with_cls and one.with_reg):
                refuse(f"bbox_head: '{type(one).__name__}'", 'Shared2FCBBoxHead and its like')

    def forward(
        self, features: tuple[Tensor, ...], boxes: Tensor, there: Tensor, size: Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            features: Maps (B, C, H, W), finest first.
            boxes: Proposals (B, P, 4).
            there: (B, P), which of them are there.

        Returns:
            Boxes (B, N, 4), scores (B, N), labels (B, N), N = max_per_img.
        """
        total = 0
        for stage, (head, regions) in enumerate(zip(self.heads, self.regions, strict=True)):
            logits, deltas = self.stage(head, regions, features, boxes, there)
            total = total + logits
            if stage < len(self.heads) - 1:
                if not head.reg_class_agnostic:
                    deltas = of_label(deltas, logits[..., :-1].argmax(-1), 4)
                boxes = decode(head.bbox_coder, boxes, deltas, size)
        boxes = decode(head.bbox_coder, boxes, deltas, size)  # (B, P, 4 or classes * 4)
        scores = (total / len(self.heads)).softmax(-1)[..., :-1]
        scores = scores.masked_fill((scores <= self.threshold) | ~there[..., None], ABSENT)
        boxes = boxes.unflatten(-1, (-1, 4)).expand(*scores.shape, 4).flatten(1, 2)
        labels = torch.arange(scores.size(2), device=scores.device).expand_as(scores).flatten(1)
        groups = torch.zeros_like(labels) if self.agnostic else labels
        scores, index = suppress(boxes, scores.flatten(1), groups, self.iou_threshold, self.count)
        return take(boxes, index), scores, labels.gather(1, index)

    def stage(
        self,
        head: nn.Module,
        regions: nn.Module,
        features: tuple[Tensor, ...],
        boxes: Tensor,
        there: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, P, classes + 1) and deltas (B, P, 4 or classes * 4) of a stage, float32."""
        rois = regions_of(boxes)

        def compute(rows: Tensor) -> tuple[Tensor, ...]:
            return tuple(one.float() for one in head(regions(features, rois[rows])))

        columns = head.fc_cls.out_features, head.fc_reg.out_features
        like = tuple(rois.new_zeros(rois.size(0), number) for number in columns)
        results = compute_on(there.flatten(), compute, like)
        return tuple(one.view(*boxes.shape[:2], -1) for one in results)


class Masks(nn.Module):
    """
    Args:
        head: A head with masks for which :func:`is_plain_roi_head` holds.

    Raises:
        ValueError: if its masks are not those of FCNMaskHead.
    """

    def __init__(self, head: nn.Module):
        super().__init__()
        self.heads = nn.ModuleList(stages(head.mask_head))
        extractors = stages(head.mask_roi_extractor)
        self.regions = nn.ModuleList(map(Regions, extractors * len(self.heads)))
        for one in self.heads:
            if not inherits(one, ('predict_by_feat', '_predict_by_feat_single'), FCNMaskHead):
                refuse(f"mask_head: '{type(one).__name__}'", 'FCNMaskHead')

    def forward(
        self, features: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, there: Tensor
    ) -> Tensor:
        """Probabilities (B, N, h, w) of the label inside each box; zero where there is none."""
        rois, labels = regions_of(boxes), labels.flatten()

        def compute(rows: Tensor) -> tuple[Tensor]:
            masks = 0
            for head, regions in zip(self.heads, self.regions, strict=False):
                logits = head(regions(features, rois[rows])).float()
                if not head.class_agnostic:
                    index = labels[rows][:, None, None, None]
                    logits = logits.gather(1, index.expand(-1, 1, *logits.shape[-2:]))
                masks = masks + logits[:, 0].sigmoid()
            return (masks / len(self.heads),)

        (masks,) = compute_on(there.flatten(), compute, (self.empty(rois),))
        return masks.unflatten(0, there.shape)

    def empty(self, rois: Tensor) -> Tensor:
        scale = self.heads[0].scale_factor if self.heads[0].upsample is not None else 1
        height, width = self.regions[0].extractor.roi_layers[0].output_size
        return rois.new_zeros(rois.size(0), height * scale, width * scale)


def of_label(deltas: Tensor, labels: Tensor, columns: int) -> Tensor:
    """Of deltas (B, P, classes * columns), those of the label (B, P): (B, P, columns)."""
    index = labels[..., None, None].expand(*labels.shape, 1, columns)
    return deltas.unflatten(-1, (-1, columns)).gather(2, index)[:, :, 0]
