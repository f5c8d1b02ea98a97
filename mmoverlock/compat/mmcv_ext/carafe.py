"""CARAFE, content-aware reassembly of features (Wang et al., 2019)."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .numerics import fill_gradients, full


def _reassemble(features: Tensor, masks: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """Weighted sum of the window of k * k pixels around each output pixel's source."""
    windows = F.unfold(features, kernel, padding=kernel // 2)
    windows = windows.reshape(len(features), groups, -1, kernel**2, *features.shape[2:])
    # (B, G, k * k, H, scale, W, scale)
    masks = masks.unflatten(1, (groups, -1)).unflatten(4, (-1, scale)).unflatten(3, (-1, scale))
    out = torch.einsum('ngckhw,ngkhawb->ngchawb', windows, masks)
    return out.flatten(5).flatten(3, 4).flatten(1, 2)


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Fills ``output`` (B, C, scale * H, scale * W).

    ``features`` (B, C, H, W); ``masks`` (B, groups * k * k, scale * H, scale * W) holds the
    weights of each output pixel. ``group_size`` is the number of groups.
    """
    output.copy_(_reassemble(full(features), full(masks), kernel_size, group_size, scale_factor))


def carafe_naive_backward(
    top_grad: Tensor,
    features: Tensor,
    masks: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Fills ``bottom_grad``, that of the features, and ``mask_grad``."""
    reassemble = partial(_reassemble, kernel=kernel_size, groups=group_size, scale=scale_factor)
    fill_gradients([bottom_grad, mask_grad], reassemble, [features, masks], top_grad)


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As ``carafe_naive_forward``, for a backward pass that is given ``rfeatures`` alone.

    The compiled operator reorders features there; ours copies them. The other r... are scratch.
    """
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As ``carafe_naive_backward``, from what the forward pass left in ``rfeatures``."""
    grads, geometry = (bottom_grad, mask_grad), (kernel_size, group_size, scale_factor)
    carafe_naive_backward(top_grad, rfeatures, masks, *grads, *geometry)
