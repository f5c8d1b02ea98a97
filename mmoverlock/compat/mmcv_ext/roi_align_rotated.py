"""RoIAlign of rotated regions (K, 6: image, centre x, y, width, height, radians)."""

from torch import Tensor

from .numerics import fill_gradients, full
from .sampling import sample_grids, sample_mean


def _align(
    maps: Tensor,
    rois: Tensor,
    bins: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> Tensor:
    rois = rois.to(maps.dtype)
    centre = rois[:, [2, 1]] * spatial_scale - (0.5 if aligned else 0.0)  # (K, 2): y, x
    size = rois[:, [4, 3]] * spatial_scale
    size = size if aligned else size.clamp(min=1)
    angle = -rois[:, 5] if clockwise else rois[:, 5]
    output = maps.new_zeros(len(rois), maps.size(1), *bins)
    for chosen, *place in sample_grids(size, bins, sampling_ratio):
        down, right = (place[axis] - size[chosen, axis, None, None, None] / 2 for axis in (0, 1))
        cos, sin = (f(angle[chosen])[:, None, None, None] for f in (Tensor.cos, Tensor.sin))
        y = centre[chosen, 0, None, None, None] + down * cos - right * sin
        x = centre[chosen, 1, None, None, None] + down * sin + right * cos
        output[chosen] = sample_mean(maps, rois[chosen, 0].long(), y, x)
    return output


def roi_align_rotated_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """Fills ``output`` (K, C, height, width) with means of bilinear samples."""
    bins = pooled_height, pooled_width
    options = bins, spatial_scale, sampling_ratio, aligned, clockwise
    output.copy_(_align(full(input), rois, *options))


def roi_align_rotated_backward(
    rois: Tensor,
    grad_input: Tensor,
    grad_output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """Fills the gradient of the input; the operator is linear, so any input will do.

    mmcv passes gradient of the output, regions and gradient of the input, in this order, by
    position. The names are those of its binding, which has them in another.
    """
    grad_output, rois, grad_input = rois, grad_input, grad_output
    bins = pooled_height, pooled_width
    options = bins, spatial_scale, sampling_ratio, aligned, clockwise

    def align(maps: Tensor) -> Tensor:
        return _align(maps, rois, *options)

    fill_gradients([grad_input], align, [grad_input], grad_output)
