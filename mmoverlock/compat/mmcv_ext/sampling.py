"""Means of bilinear samples, for regions that torchvision's ``roi_align`` cannot describe."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_grids(
    size: Tensor, bins: tuple[int, int], sampling_ratio: int
) -> Iterator[tuple[Tensor | slice, Tensor, Tensor]]:
    """Where in its region each sample is.

    Args:
        size: Height and width (K, 2) of the regions, in pixels.
        bins: Height and width of the result.
        sampling_ratio: Samples along each side of a bin; 0: one for each pixel begun. Regions
            without pixels are left out then.

    Yields:
        Indices of regions with equally many samples; y and x (regions, height, width, samples).
    """
    if sampling_ratio > 0:
        groups = [(slice(None), sampling_ratio, sampling_ratio)]
    else:
        grid = (size / size.new_tensor(bins)).ceil().long()
        kinds, kind = grid.unique(dim=0, return_inverse=True)
        groups = [
            ((kind == i).nonzero().squeeze(1), *samples)
            for i, samples in enumerate(kinds.tolist())
            if min(samples) > 0
        ]
    for chosen, *samples in groups:
        y, x = (
            (torch.arange(n * m, device=size.device, dtype=size.dtype) + 0.5)
            / (n * m)
            * size[chosen, axis, None]
            for axis, (n, m) in enumerate(zip(bins, samples, strict=True))
        )
        y, x = y.unflatten(1, (bins[0], 1, -1, 1)), x.unflatten(1, (1, bins[1], 1, -1))
        yield chosen, *(part.flatten(3) for part in torch.broadcast_tensors(y, x))


def sample_mean(maps: Tensor, image: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Mean (K, C, height, width) of the samples of every bin, differentiable by maps, y and x.

    Up to a pixel outside the map the border's values count, farther out 0.

    Args:
        maps: (N, C, H, W).
        image: Which of the N each region is on, (K,).
        y: Rows (K, height, width, samples); 0 is the centre of the first.
        x: Columns, likewise.
    """
    inside, axes = torch.ones_like(y, dtype=torch.bool), []
    for position, limit in ((y, maps.size(2)), (x, maps.size(3))):
        inside = inside & (position >= -1) & (position <= limit)
        position = position.clamp(0, limit - 1)
        low = position.detach().floor()
        part = position - low
        axes.append([(low.long(), 1 - part), ((low.long() + 1).clamp(max=limit - 1), part)])
    corners = [(row, column) for row in axes[0] for column in axes[1]]
    index = torch.stack([row[0] * maps.size(3) + column[0] for row, column in corners], dim=-1)
    weight = torch.stack([row[1] * column[1] * inside for row, column in corners], dim=-1)
    index = index + image[:, None, None, None, None] * maps[0, 0].numel()
    pixels = maps.permute(0, 2, 3, 1).flatten(0, 2)
    weight = weight.flatten(3).flatten(0, 2) / y.size(3)
    mean = F.embedding_bag(
        index.flatten(3).flatten(0, 2), pixels, mode='sum', per_sample_weights=weight
    )
    return mean.unflatten(0, y.shape[:3]).permute(0, 3, 1, 2)
