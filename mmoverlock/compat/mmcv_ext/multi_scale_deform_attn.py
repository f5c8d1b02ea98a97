"""Multi-scale deformable attention (Zhu et al., 2021) by the formula that mmcv uses on the CPU.

Shapes: ``value`` (B, sum of H * W, heads, channels), ``value_spatial_shapes`` (levels, 2: height,
width), ``sampling_locations`` (B, queries, heads, levels, points, 2: x, y) in [0, 1],
``attention_weights`` (B, queries, heads, levels, points). The levels follow one another, so
``value_level_start_index`` is not needed; neither is ``im2col_step``.
"""

from functools import partial

from torch import Tensor

from .numerics import fill_gradients, full


def _attend(
    value: Tensor, sampling_locations: Tensor, attention_weights: Tensor, shapes: list[list[int]]
) -> Tensor:
    # imported here: mmcv.ops asks for this module when it is imported itself
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, shapes, sampling_locations, attention_weights)


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Result (B, queries, heads * channels) in the dtype of ``value``."""
    tensors = (full(x) for x in (value, sampling_locations, attention_weights))
    return _attend(*tensors, value_spatial_shapes.tolist()).to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Fills the three gradients."""
    targets = [grad_value, grad_sampling_loc, grad_attn_weight]
    attend = partial(_attend, shapes=value_spatial_shapes.tolist())
    fill_gradients(targets, attend, [value, sampling_locations, attention_weights], grad_output)
