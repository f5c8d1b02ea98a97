"""Dense heads: single-stage detectors and the proposals of two-stage ones."""

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.dense_heads.rpn_head import RPNHead
from torch import Tensor, nn

from ..exportable import Size
from .boxes import decode, large_enough
from .nms import suppress
from .refusals import check_nms, inherits, refuse
from .rows import ABSENT, best_rows, take


def is_plain_dense(head: nn.Module | None) -> bool:
    """Whether a head predicts as those of RetinaNet, FCOS, ATSS or an RPN do."""
    methods = 'predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process'
    return inherits(head, methods, RPNHead, BaseDenseHead)


class Dense(nn.Module):
    """
    Args:
        head: A head for which :func:`is_plain_dense` holds.

    Raises:
        ValueError: if its `test_cfg` asks for something else than plain suppression of a bounded
            number of candidates, or its loss brings its own activation.
    """

    def __init__(self, head: nn.Module):
        super().__init__()
        config = head.test_cfg
        self.head = head
        self.iou_threshold, self.agnostic = check_nms(config.get('nms'), 'test_cfg')
        self.count = config.max_per_img
        self.candidates = config.get('nms_pre', -1)
        self.least_size = config.get('min_bbox_size', -1)
        self.is_rpn = isinstance(head, RPNHead)
        self.threshold = -1.0 if self.is_rpn else config.get('score_thr', 0)
        if self.candidates <= 0:
            refuse(f'test_cfg.nms_pre: {self.candidates}', 'a positive number')
        if getattr(head.loss_cls, 'custom_cls_channels', False):
            refuse(f"loss_cls: '{type(head.loss_cls).__name__}'", 'softmax or sigmoid scores')

    def forward(self, features: tuple[Tensor, ...], size: Size) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, N, 4), scores (B, N), labels (B, N), N = max_per_img; of an RPN, labels are
        levels."""
        maps = self.head(features)
        sizes = [one.shape[-2:] for one in maps[0]]
        priors = self.head.prior_generator.grid_priors(
            sizes, dtype=torch.float32, device=features[0].device
        )
        levels = [self.level(p, *m) for p, *m in zip(priors, *maps, strict=True)]
        priors, deltas, scores, labels = (
            torch.cat(part, dim=1) for part in zip(*levels, strict=True)
        )
        if self.is_rpn:  # suppressed level by level, not class by class
            labels = torch.arange(len(sizes), device=labels.device).repeat_interleave(
                self.candidates
            )
            labels = labels.expand_as(scores)
        boxes = decode(self.head.bbox_coder, priors, deltas, size)
        scores = scores.masked_fill(~large_enough(boxes, self.least_size), ABSENT)
        groups = torch.zeros_like(labels) if self.agnostic else labels
        scores, index = suppress(boxes, scores, groups, self.iou_threshold, self.count)
        return take(boxes, index), scores, labels.gather(1, index)

    def level(
        self, priors: Tensor, logits: Tensor, deltas: Tensor, factors: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The best candidates of a level.

        The best pairs of place and class are among those of the best places. To choose these first
        spares sorting all pairs, of which there may be ten million.

        Args:
            priors: (places, 4 or 2); there may be several to a pixel.
            logits: (B, priors per pixel * classes, H, W).
            deltas: (B, priors per pixel * 4, H, W).
            factors: (B, priors per pixel, H, W), logits of what the scores are multiplied by.

        Returns:
            Priors (B, K, 4 or 2), deltas (B, K, 4), scores and labels (B, K), K = nms_pre.
        """
        scores = self.scores(table(logits, self.head.cls_out_channels))
        scores = scores.masked_fill(scores <= self.threshold, ABSENT)
        best, places = best_rows(scores.amax(-1), self.candidates)
        scores = take(scores, places).masked_fill(best[..., None] < 0, ABSENT)
        scores, pairs = best_rows(scores.flatten(1), self.candidates)
        rank = pairs // self.classes
        places, labels = places.gather(1, rank), pairs - rank * self.classes
        if factors is not None:
            factors = table(factors, 1)[..., 0].float().sigmoid().gather(1, places)
            scores = torch.where(scores < 0, scores, scores * factors)
        deltas = take(table(deltas, self.head.bbox_coder.encode_size), places)
        return priors[places], deltas, scores, labels

    @property
    def classes(self) -> int:
        return self.head.cls_out_channels - (not self.head.use_sigmoid_cls)

    def scores(self, logits: Tensor) -> Tensor:
        logits = logits.float()
        return logits.sigmoid() if self.head.use_sigmoid_cls else logits.softmax(-1)[..., :-1]


def table(maps: Tensor, columns: int) -> Tensor:
    """(B, n * columns, H, W) → (B, H * W * n, columns)."""
    maps = maps.permute(0, 2, 3, 1)
    # Copied before, not by reshape, which would ask whether a map is a single pixel.
    return maps.clone(memory_format=torch.contiguous_format).view(maps.size(0), -1, columns)
