"""RoIAlign and RoIPool with mmcv's semantics, on torchvision's kernels.

torchvision has no maximum in ``roi_align`` and rounds regions differently in ``roi_pool``. Both
are had by handing it finer regions, so that every sample or bin is a region or bin of its own.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from .numerics import fill_gradients, full


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average (pool_mode 1) or maximum (0) of bilinear samples, (K, C, height, width).

    For the maximum, ``argmax_y`` and ``argmax_x`` receive the place of the winning sample on
    the map, -1 where a bin has no sample.
    """
    maps, bins = full(input), (aligned_height, aligned_width)
    rois = rois.to(maps.dtype)
    if pool_mode == 1:
        output.copy_(roi_align(maps, rois, bins, spatial_scale, sampling_ratio, aligned))
        return
    argmax_y.fill_(-1)
    argmax_x.fill_(-1)
    shift = 0.5 if aligned else 0.0
    start = rois[:, [2, 1]] * spatial_scale - shift  # (K, 2): y, x
    size = rois[:, [4, 3]] * spatial_scale - shift - start
    size = size if aligned else size.clamp(min=1)
    if sampling_ratio > 0:
        grid = torch.full_like(size, sampling_ratio, dtype=torch.long)
    else:
        grid = (size / size.new_tensor(bins)).ceil().long()
    # A bin of gy x gx samples is gy x gx bins of one sample each, of which we keep the largest.
    for gy, gx in grid[(grid > 0).all(1)].unique(dim=0).tolist():
        chosen = (grid == grid.new_tensor([gy, gx])).all(1).nonzero().squeeze(1)
        rows, columns = bins[0] * gy, bins[1] * gx
        samples = roi_align(maps, rois[chosen], (rows, columns), spatial_scale, 1, aligned)
        best, place = F.max_pool2d(samples, (gy, gx), return_indices=True)
        y0, x0 = start[chosen].T.reshape(2, -1, 1, 1, 1)
        height, width = size[chosen].T.reshape(2, -1, 1, 1, 1)
        output[chosen] = best.to(output.dtype)
        argmax_y[chosen] = (y0 + (place // columns + 0.5) * height / rows).to(argmax_y.dtype)
        argmax_x[chosen] = (x0 + (place % columns + 0.5) * width / columns).to(argmax_x.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills ``grad_input`` (N, C, H, W); the operator is linear in its input, so any will do."""
    if pool_mode == 1:
        rois, bins = rois.to(full(grad_input).dtype), (aligned_height, aligned_width)
        options = dict(spatial_scale=spatial_scale, sampling_ratio=sampling_ratio, aligned=aligned)
        pool = partial(roi_align, boxes=rois, output_size=bins, **options)
        fill_gradients([grad_input], pool, [grad_input], grad_output)
        return

    # One region of size zero for each winning sample, on its own map of the N * C.
    y, x = full(argmax_y), full(argmax_x)
    points = torch.stack([_map_index(grad_input, rois, y).to(y), x, y, x, y], dim=-1)
    points = (points + points.new_tensor([0, 0.5, 0.5, 0.5, 0.5])).reshape(-1, 5)
    weights = full(grad_output).masked_fill(y == -1, 0).reshape(-1, 1, 1, 1)

    def sample(maps: Tensor) -> Tensor:
        return roi_align(maps.reshape(-1, 1, *maps.shape[2:]), points, 1, 1.0, 1, True)

    fill_gradients([grad_input], sample, [grad_input], weights)


def _map_index(maps: Tensor, rois: Tensor, like: Tensor) -> Tensor:
    """Which of the N * C maps each element of a (K, C, height, width) result comes from."""
    channels = maps.size(1)
    index = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    return index[:, :, None, None].expand(like.shape)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Maximum over the pixels each bin touches, (K, C, height, width); an empty bin gives 0.

    torchvision first rounds a region to whole pixels, mmcv does not. A bin's own borders are
    whole pixels for both, so every bin is given to torchvision as a region with a single bin.
    ``argmax`` (int32) receives the winning pixel, y * W + x, or -1.
    """
    maps = full(input)
    rois = rois.to(maps.dtype)
    y1, y2 = _bin_borders(rois[:, 2], rois[:, 4], pooled_height, spatial_scale, maps.size(2))
    x1, x2 = _bin_borders(rois[:, 1], rois[:, 3], pooled_width, spatial_scale, maps.size(3))
    # (K, height, 1) and (K, 1, width)
    y1, y2, x1, x2 = y1[:, :, None], y2[:, :, None], x1[:, None], x2[:, None]
    empty = ((y2 <= y1) | (x2 <= x1))[:, None]
    image = rois[:, 0, None, None]
    regions = torch.broadcast_tensors(image, x1, y1, x2 - 1, y2 - 1)
    regions = torch.stack(regions, dim=-1).reshape(-1, 5)
    result = torch.ops.torchvision.roi_pool(maps, regions, 1.0, 1, 1)
    shape = (len(rois), pooled_height, pooled_width, maps.size(1))
    best, place = (part.reshape(shape).permute(0, 3, 1, 2) for part in result)
    output.copy_(best.masked_fill(empty, 0))
    argmax.copy_(place.masked_fill(empty, -1))


def _bin_borders(
    start: Tensor, end: Tensor, bins: int, scale: float, limit: int
) -> tuple[Tensor, Tensor]:
    """First pixel of every bin and the one after its last, each (K, bins)."""
    start = (start * scale)[:, None]
    size = ((end + 1) * scale)[:, None] - start
    index = torch.arange(bins, device=start.device, dtype=start.dtype)
    first = (index * (size / bins) + start).floor()
    after = ((index + 1) * (size / bins) + start).ceil()
    after = torch.where(size > 0, after, first)  # a region without extent has no pixels
    return first.clamp(0, limit), after.clamp(0, limit)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Adds every output's gradient to the pixel that won; fills ``grad_input`` (N, C, H, W)."""
    pixels = grad_input[0, 0].numel()
    place = _map_index(grad_input, rois, argmax) * pixels + argmax.clamp(min=0)
    values = full(grad_output).masked_fill(argmax < 0, 0)
    total = values.new_zeros(grad_input.numel())
    total.scatter_add_(0, place.flatten(), values.flatten())
    grad_input.copy_(total.view_as(grad_input))
