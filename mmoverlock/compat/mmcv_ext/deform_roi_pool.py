"""Deformable RoI pooling (Dai et al., 2017): the mean over bins that are moved one by one.

``rois`` (K, 5: image, x1, y1, x2, y2); ``offset`` (K, 2: x, y, height, width), in units of
``gamma`` times the region's size, or without an element.
"""

from torch import Tensor

from .numerics import fill_gradients, full
from .sampling import sample_grids, sample_mean


def _pool(
    maps: Tensor,
    offset: Tensor,
    rois: Tensor,
    bins: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> Tensor:
    rois = rois.to(maps.dtype)
    start, end = rois[:, [2, 1]] * spatial_scale - 0.5, rois[:, [4, 3]] * spatial_scale - 0.5
    size = end - start
    output = maps.new_zeros(len(rois), maps.size(1), *bins)
    for chosen, *place in sample_grids(size, bins, sampling_ratio):
        for axis in (0, 1):
            place[axis] = place[axis] + start[chosen, axis, None, None, None]
            if offset.numel():
                shift = gamma * size[chosen, axis, None, None] * offset[chosen, 1 - axis]
                place[axis] = place[axis] + shift[..., None]
        output[chosen] = sample_mean(maps, rois[chosen, 0].long(), *place)
    return output


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fills ``output`` (K, C, height, width)."""
    options = (pooled_height, pooled_width), spatial_scale, sampling_ratio, gamma
    output.copy_(_pool(full(input), full(offset), rois, *options))


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fills ``grad_input`` and ``grad_offset``.

    A sample beyond the border, where the map is constant, gives the offset no gradient; the
    compiled operator gives it that of the nearest pixel.
    """
    options = (pooled_height, pooled_width), spatial_scale, sampling_ratio, gamma
    if offset.numel():

        def pool(maps: Tensor, shift: Tensor) -> Tensor:
            return _pool(maps, shift, rois, *options)

        fill_gradients([grad_input, grad_offset], pool, [input, offset], grad_output)
    else:

        def pool(maps: Tensor) -> Tensor:
            return _pool(maps, offset, rois, *options)

        fill_gradients([grad_input], pool, [input], grad_output)
