"""Backbone and neck."""

from copy import copy

import torch
import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch import Tensor, nn


class Pyramid(nn.Module):
    """The maps that a detector's heads see, (B, C, H, W), finest first.

    FPN makes extra levels by max-pooling single pixels, which torch.export pins to the parity of
    the example's size. Every second pixel is the same.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.backbone, self.neck = model.backbone, getattr(model, 'neck', None)
        self.extra = 0
        if isinstance(self.neck, FPN) and not self.neck.add_extra_convs:
            self.neck = copy(self.neck)
            levels = len(self.neck.lateral_convs)
            self.extra, self.neck.num_outs = self.neck.num_outs - levels, levels

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = self.backbone(of_any_size(image))
        if self.neck is not None:
            maps = self.neck(maps)
        for _ in range(self.extra):
            maps = *maps, maps[-1][:, :, ::2, ::2]
        return maps


def of_any_size(image: Tensor) -> Tensor:
    """The image, padded by nothing in a way that torch.export cannot see.

    From the image's own size it would conclude that no picture is so small that the coarsest map is
    a single pixel, and refuse smaller ones. A padded size is too complicated for that.
    """
    edges = [edge for edge in image.shape[:1:-1] if isinstance(edge, torch.SymInt)]
    if not any(edge.node.expr.is_symbol for edge in edges):
        return image
    width, height = ((n // 2 + (n + 1) // 2 - n) % 2 for n in image.shape[:1:-1])  # always 0
    return F.pad(image, (0, width, 0, height))
