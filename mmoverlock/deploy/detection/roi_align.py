"""Features of regions, each from the pyramid level of its size."""

from typing import Any

import torch
import torchvision
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn

from .refusals import refuse


class Regions(nn.Module):
    """
    Args:
        extractor: mmdet's SingleRoIExtractor with average pooling.

    Raises:
        ValueError: if it is another.
    """

    def __init__(self, extractor: nn.Module):
        super().__init__()
        layer: Any = extractor.roi_layers[0]
        if type(extractor) is not SingleRoIExtractor or not isinstance(layer, RoIAlign):
            kind = f'{type(extractor).__name__} of {type(layer).__name__}'
            refuse(f"roi_extractor: '{kind}'", 'SingleRoIExtractor of RoIAlign')
        if layer.pool_mode != 'avg':
            refuse(f"roi_layer.pool_mode: '{layer.pool_mode}'", "'avg'")
        self.extractor = extractor

    def forward(self, features: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """
        Args:
            features: Maps (B, C, H, W), finest first.
            rois: (K, 5): picture, x1, y1, x2, y2, float32.

        Returns:
            (K, C, h, w).
        """
        layers = self.extractor.roi_layers
        levels = self.extractor.map_roi_levels(rois, len(layers))
        shape = rois.size(0), features[0].size(1), *layers[0].output_size
        output = features[0].new_zeros(shape)
        for level, (layer, maps) in enumerate(zip(layers, features, strict=False)):
            rows = (levels == level).nonzero()[:, 0]
            # Half precision would round the corners of regions to whole pixels.
            pooled = torchvision.ops.roi_align(
                maps.float(),
                rois[rows],
                layer.output_size,
                layer.spatial_scale,
                layer.sampling_ratio,
                layer.aligned,
            )
            output = output.index_put((rows,), pooled.to(maps.dtype))
        return output


def regions_of(boxes: Tensor) -> Tensor:
    """Boxes (B, N, 4) as regions (B * N, 5), with the number of the picture."""
    pictures = torch.arange(boxes.size(0), device=boxes.device)[:, None, None]
    pictures = pictures.expand(-1, boxes.size(1), 1).to(boxes.dtype)
    return torch.cat([pictures, boxes], dim=-1).flatten(0, 1)
