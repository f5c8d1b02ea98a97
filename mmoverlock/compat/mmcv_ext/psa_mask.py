"""Masks of point-wise spatial attention (Zhao et al., 2018), PSANet's.

``psa_type`` 0 collects, 1 distributes. ``num_``, the features' size and half the masks' size are
those of the tensors.
"""

import torch
from torch import Tensor

from .numerics import fill_gradients


def _relate(mask: Tensor, psa_type: int, h_mask: int, w_mask: int) -> Tensor:
    """Over-complete map (B, h_mask * w_mask, H, W) to relations of all pixels (B, H * W, H, W).

    Pixel p says in its channel (i, j) how it relates to the pixel at ``p + (i, j) - half``.
    """
    h, w = mask.shape[2:]
    y, x = (torch.arange(n, device=mask.device) for n in (h, w))
    # entry of the mask by the other pixel and the own one, in all (H, W, H, W)
    row = (y[:, None] - y + (h_mask - 1) // 2)[:, None, :, None]
    column = (x[:, None] - x + (w_mask - 1) // 2)[:, None]
    known = (row >= 0) & (row < h_mask) & (column >= 0) & (column < w_mask)
    channel = row * w_mask + column
    channel = channel.masked_fill(~known, 0).reshape(1, h * w, h, w).expand(len(mask), -1, -1, -1)
    relations = mask.gather(1, channel).masked_fill(~known.reshape(h * w, h, w), 0)
    if psa_type == 0:
        return relations
    return relations.flatten(2).transpose(1, 2).unflatten(2, (h, w))


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fills ``output`` (B, H * W, H, W) from ``input`` (B, h_mask * w_mask, H, W).

    Collecting, channel q of pixel p tells what q, seen from p, brings to p; distributing, channel
    p of pixel q tells what p brings to q.
    """
    output.copy_(_relate(input, psa_type, h_mask, w_mask))


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fills ``grad_input``; the operator is linear, so any input will do."""

    def relate(mask: Tensor) -> Tensor:
        return _relate(mask, psa_type, h_mask, w_mask)

    fill_gradients([grad_input], relate, [grad_input], grad_output)
